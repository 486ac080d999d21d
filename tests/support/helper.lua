-- For busted: the tests' own modules are found, and a spec's log stays quiet.
package.path = "./?.lua;" .. package.path
