--- NVIDIA's hosted NIM (build.nvidia.com): a trial account's limit, as reported by users;
--- it differs by model and load. No headers tell it and no refusal says how long, so it is
--- counted by itself.
return {
  source = "forums.developer.nvidia.com, reports of users",
  date = "2026-08-20",
  tier = "trial",
  default = { requests_per_minute = 40 },
}
