-- The variable is of the process: rules of all workers see it, and it outlives a reload.
core.register_cli({ 'maintenance' }, 'on [why], off or show: turn requests away',
function(applet, _, what, why)
    if what == 'on' then
        core.set_var('proc.closed', why or 'closed for maintenance')
    elseif what == 'off' then
        core.set_var('proc.closed', '')
    elseif what ~= nil and what ~= 'show' then
        error('on, off or show is wanted', 0) -- the operator is told
    end
    local closed = core.get_var('proc.closed') or ''
    applet:send(closed == '' and 'open\n' or ('closed: %s\n'):format(closed))
end)
