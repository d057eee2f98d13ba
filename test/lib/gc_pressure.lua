-- Loaded before a test (neap -l gc_pressure test.lua): the collector runs all
-- the time, so what is held too short is gone when it is used.
collectgarbage('setpause', 0)
collectgarbage('setstepmul', 5000)
