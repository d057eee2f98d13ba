#!/bin/sh
# What goes on in one state is its own affair: limits that a function of the
# shared state runs into, memory, C code that does not come back, sockets that
# each worker uses; and requests that the shared state begins.
#
# test: timeout 120, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

: > p.lua
three() {
	run neap --workers 3 --load s.lua --load-per-thread p.lua "$@" main.lua
}

# Limits of functions of the shared state, and an error that is one: each is
# told as what it is, the private data stays, and the worker's own go on.
cat > s.lua <<'END'
local fiber, states = require('fiber'), require('neap.states')
local register = states.register
fiber.set_limits('fetch', {burst = 0.02})
fiber.set_limits('converter', {total = 0.05})
local counter = 0
register('fetch', 'burst', function()
    while true do
        pcall(function() while true do end end)
    end
end)
register('converter', 'total', function()
    while true do
        for i = 1, 2e5 do counter = counter + i % 2 end
        fiber.sleep(0)
    end
end)
register('action', 'fail', function() error('a real one') end)
register('action', 'priv', function(r, v)
    if v then r:set_priv(v) end
    return r:get_priv()
end)
END
cat > p.lua <<'END'
local states = require('neap.states')
states.register('action', 'own', function(r, v)
    if v then r:set_priv(v) end
    return r:get_priv()
end)
END
cat > main.lua <<'END'
local states = require('neap.states')
local function fails(r, kind, name, type, text)
    local ok, err = pcall(r.call, r, kind, name)
    assert(not ok and err.type == type, tostring(err.type) .. tostring(err))
    local from = ("%s '%s' in the shared state: "):format(kind, name)
    assert(tostring(err):find(from, 1, true) == 1, tostring(err))
    assert(tostring(err):find(text, 1, true), tostring(err))
    return tostring(err)
end
states.with_request(function(r)
    r:call('action', 'priv', 's')
    r:call('action', 'own', 'p')
    for _ = 1, 3 do
        local text = fails(r, 'fetch', 'burst', 'LimitExceeded', 'limit of fetch')
        assert(text:find('since its last wait', 1, true), text)
        assert(r:call('action', 'own') == 'p')
        fails(r, 'action', 'fail', 'LuaError', 'a real one')
        text = fails(r, 'converter', 'total', 'LimitExceeded',
            'limit of converter')
        assert(not text:find('since its last wait', 1, true), text)
        assert(r:call('action', 'priv') == 's')
    end
end)
print('done')
END
case ${NEAP_SANITIZE:-} in
*thread*) ;; # nobody is made to give way there
*)
	three
	err_is ''
	code_is 0
	out_is done done done
	;;
esac

# Memory: the limit is each state's. All of them hold most of it at once, and
# one that wants more than it gets takes nothing from the others.
cat > s.lua <<'END'
local states, held = require('neap.states'), {}
for i = 1, 20 do held[i] = ('x'):rep(1024 * 1024) .. i end
states.register('action', 'held', function() return #held end)
END
cat > p.lua <<'END'
local states, held = require('neap.states'), {}
for i = 1, 20 do held[i] = ('x'):rep(1024 * 1024) .. i end
states.register('action', 'more', function()
    local t = {}
    while true do t[#t + 1] = ('y'):rep(1000) .. #t end
end)
states.register('action', 'own', function() return #held end)
END
cat > main.lua <<'END'
local fiber, states = require('fiber'), require('neap.states')
states.with_request(function(r)
    for _ = 1, 3 do
        if states.id == 2 then
            local ok, err = pcall(r.call, r, 'action', 'more')
            assert(not ok and tostring(err):find('not enough memory'),
                tostring(err))
            assert(tostring(err):find('in worker 2: ', 1, true), tostring(err))
        end
        local t = {}
        for i = 1, 2000 do t[i] = ('z'):rep(1000) .. i end
        assert(r:call('action', 'own') == 20)
        assert(r:call('action', 'held') == 20)
    end
end)
print('done')
END
three --max-memory 32M
err_is ''
code_is 0
out_is done done done

# C code of the shared state that does not come back before a worker lets it:
# the workers go on, who waits for that state may give up, who does not is
# served afterwards; and the log names state, fiber and function.
cat > s.lua <<'END'
local fiber, ffi, states = require('fiber'), require('ffi'), require('neap.states')
ffi.cdef('int pipe(int *); int close(int); long read(int, void *, size_t);')
local fds = ffi.new('int[2]')
assert(ffi.C.pipe(fds) == 0)
local done
states.task(function() -- whom it keeps waiting
    while not done do fiber.sleep(0.01) end
end)
states.register('action', 'descriptor', function() return fds[1] end)
local function stuck_here()
    return tonumber(ffi.C.read(fds[0], ffi.new('char[1]'), 1))
end
states.register('service', 'stuck', function()
    require('shared').dict('stuck'):set('stuck', true)
    local n = stuck_here()
    ffi.C.close(fds[0])
    ffi.C.close(fds[1])
    done = true
    return n
end)
states.register('action', 'where', function() return states.id end)
END
cat > p.lua <<'END'
local states = require('neap.states')
states.register('action', 'own', function() return states.id end)
END
cat > main.lua <<'END'
local fiber, ffi, states = require('fiber'), require('ffi'), require('neap.states')
ffi.cdef('long write(int, const void *, size_t);')
local dict = require('shared').dict('stuck')
local me = states.id
states.with_request(function(r)
    local out = r:call('action', 'descriptor')
    dict:incr('ready', 1, 0)
    while (dict:get('ready') or 0) < 3 do fiber.sleep(0.001) end
    local stuck
    if me == 1 then
        stuck = fiber.new(states.with_request, function(own)
            assert(own:call('service', 'stuck') == 1)
        end)
        stuck:set_joinable(true)
    end
    while not dict:get('stuck') do fiber.sleep(0.001) end
    local patient = fiber.new(states.with_request, function(own)
        assert(own:call('action', 'where') == 0)
    end)
    patient:set_joinable(true)
    for _ = 1, 20 do
        local ok, err = pcall(fiber.deadline, 0.01, r.call, r, 'action', 'where')
        assert(not ok and err.type == 'TimedOut', tostring(err))
        assert(r:call('action', 'own') == me)
    end
    assert(patient:status() ~= 'dead')
    dict:incr('tried', 1, 0)
    if me == 1 then
        while dict:get('tried') < 3 do fiber.sleep(0.001) end
        assert(ffi.C.write(out, 'x', 1) == 1)
        assert(stuck:join())
    end
    assert(patient:join())
    assert(r:call('action', 'where') == 0)
end)
print('done')
END
three --stall 0
code_is 0
out_is done done done
err_is ''
three --stall 100
code_is 0
out_is done done done
case ${NEAP_SANITIZE:-} in
*thread*) ;;
*)
	case $err in
	*' w0/'*"'stuck' kept the others waiting for "*"in function 'stuck_here'"*) ;;
	# It had ended when it was told of.
	*' w0/'*"'stuck' kept the others waiting for "*"called at "*s.lua:*) ;;
	*) fail 'the stuck function of w0 wanted' ;;
	esac
	;;
esac

# A socket of the shared state: made by a call of one worker, used by those of
# all, and what each has written comes whole.
cat > s.lua <<'END'
local fiber, socket, states = require('fiber'), require('socket'), require('neap.states')
local lines, count, connection = {}, 0
local server, addr = socket.tcp_server('127.0.0.1', 0, function(s)
    while true do
        local line = s:read('\n')
        if line == nil or line == '' then break end
        lines[#lines + 1] = line
        s:write(line)
    end
end)
assert(server, addr)
local turn = fiber.channel(1)
states.register('action', 'connect', function(_, id)
    if connection == nil then
        connection = false
        connection = assert(socket.tcp_connect('127.0.0.1', addr.port, 10))
    end
    while not connection do fiber.sleep(0.001) end
    return id
end)
states.register('action', 'echo', function(_, text)
    turn:put(true)
    assert(connection:write(text .. '\n'))
    local line = connection:read('\n', 10)
    turn:get()
    return line
end)
states.register('action', 'close', function()
    count = count + 1
    if count == states.count then
        connection:close()
        server:close()
        return #lines
    end
end)
END
cat > main.lua <<'END'
local states = require('neap.states')
states.with_request(function(r)
    assert(r:call('action', 'connect', states.id) == states.id)
    for i = 1, 100 do
        local text = ('%d of worker %d'):format(i, states.id)
        local line = r:call('action', 'echo', text)
        assert(line == text .. '\n', tostring(line))
    end
    local lines = r:call('action', 'close')
    if lines then print(lines) end
end)
END
three
err_is ''
code_is 0
out_is 300

# Requests that the shared state begins: each has one worker from its beginning
# to its end, also through sleeps, and all workers get some.
cat > s.lua <<'END'
local fiber, states = require('fiber'), require('neap.states')
states.task(function()
    local seen, kinds = {}, 0
    local group = fiber.group()
    for i = 1, 30 do
        group:spawn(states.with_request, function(r)
            local first = r:call('action', 'own', i)
            fiber.sleep(0.001)
            r:set_priv('here')
            for _ = 1, 3 do
                local id, v = r:call('action', 'own')
                assert(id == first and v == i, id)
                assert(r:call('action', 'shared') == 'here')
            end
            if not seen[first] then
                seen[first], kinds = true, kinds + 1
            end
        end)
    end
    group:wait()
    local requests, contexts
    for _ = 1, 2000 do
        requests, contexts = states.counts()
        if requests == 0 then break end
        fiber.sleep(0.005)
    end
    print(kinds, requests, contexts)
end)
states.register('action', 'shared', function(r) return r:get_priv() end)
END
cat > p.lua <<'END'
local fiber, states = require('fiber'), require('neap.states')
states.register('action', 'own', function(r, v)
    if v then r:set_priv(v) end
    fiber.sleep(0.001)
    return states.id, r:get_priv()
end)
END
: > main.lua
three
err_is ''
code_is 0
out_is '3	0	0'
