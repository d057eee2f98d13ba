-- The most RAM this process has had so far, for the start-up figures.
for line in io.lines('/proc/self/status') do
    local kib = line:match('^VmHWM:%s*(%d+)')
    if kib then
        print('bytes ' .. kib * 1024)
    end
end
