-- For busted: the tests' own modules are found, and so are the library's parts,
-- which come with the module.
package.path = "./?.lua;" .. package.path
require "keycycle"
