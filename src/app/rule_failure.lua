-- What becomes of a request when a rule fails (require 'neap.rule_failure', which is no
-- public module): functions of scripts in its condition and texts that throw or are over
-- their limits, and what it cannot do. A rule that cannot fail costs nothing of it.
local c = ...

local handlers = require('neap.handlers')

local error, pcall, setmetatable, tostring, type =
    error, pcall, setmetatable, tostring, type

local M = {}

-- Rules that end a request's way: one that cannot tell whether it does must not let it by.
local ends = {
    deny = true, redirect = true, ['return'] = true, ['use-service'] = true,
    static = true, stop = true, filter = true,
}

-- strict(env) -> env: functions of scripts throw what they fail with, and may_fail is true
-- when there are any.
function M.strict(env)
    local own = { may_fail = false }
    function own.lua(kind, name)
        local call, _, elsewhere = handlers.caller(kind, name)
        own.may_fail = own.may_fail or call ~= nil
        return call and function(txn, ...)
            local ok, value = call(txn, ...)
            if not ok then
                error(value, 0)
            end
            return value
        end, elsewhere
    end
    return setmetatable(own, { __index = env })
end

-- sheltered(f, label, answer) -> f(txn), and when it throws answer(txn), told with @label.
function M.sheltered(f, label, answer)
    local function outcome(txn, ok, result)
        if ok then
            return result
        elseif type(result) == 'userdata' and result.type == 'FiberIsCancelled' then
            error(result, 0)
        end
        c.log_error(label .. ': ' .. tostring(result))
        return answer(txn)
    end
    return function(txn)
        return outcome(txn, pcall(f, txn))
    end
end

local function go_on() end

-- policy(kind, on_error, answers) -> whole, answer: does all of the rule fail with one of
-- its texts, and what is done then; @answers: {deny = f(txn), error = f(txn)}.
function M.policy(kind, on_error, answers)
    if on_error == 'deny' then
        return true, answers.deny
    elseif ends[kind] and not on_error then
        return true, answers.error
    end
    return on_error ~= nil, go_on
end

-- rule(run, condition, spec) -> f(txn): @run(txn) when @condition(txn), if there is one, is not
-- spec.negated. @spec: {label=, whole=, answer=: as of policy(), always=: what is no
-- function of a script is caught, too, condition_may_fail=, may_fail=, negated=}
function M.rule(run, condition, spec)
    local negated, f = spec.negated, run
    local whole = spec.whole and (spec.always or spec.may_fail)
    if condition then
        local test = condition
        if spec.condition_may_fail and not whole then
            test = M.sheltered(condition, spec.label, function()
                return negated
            end)
        end
        f = function(txn)
            if test(txn) ~= negated then
                return run(txn)
            end
        end
    end
    return whole and M.sheltered(f, spec.label, spec.answer) or f
end

return M
