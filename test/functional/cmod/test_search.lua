-- Where cmod.load() looks for a library.
local cmod = require('cmod')
local kit = require('cmod_kit')
local tap = require('tap')

local pwd = assert(io.popen('pwd -P')):read('*l')

local function library(path, number)
    kit.build(path .. '.so', ([[
        #include <neap/module.h>
        int number(neap_call_t *c, const char *a, const char *e)
        { static const char n = %d; return neap_return_mp(c, &n, &n + 1); }
    ]]):format(number))
end

local function number(path)
    local m = cmod.load(path)
    return select(2, m:load('number')()), m.file
end

kit.mkdir('lib')
kit.mkdir('a')
kit.mkdir('a/b')
kit.mkdir('a/b/c')
for _, dir in ipairs({ 'rocks', 'rocks/lib', 'rocks/lib/lua', 'rocks/lib/lua/5.1',
        'rocks/lib/lua/5.1/deep' }) do
    kit.mkdir(dir)
    kit.mkdir('a/' .. dir)
end

library('lib/one', 1)
tap.is(number('lib/one'), 1, 'a relative path')
tap.is(number('./lib/one'), 1, 'one with a dot')
tap.is(number('lib/../lib//one'), 1, 'one with detours')
tap.is(number(pwd .. '/lib/one'), 1, 'an absolute path')
tap.is(select(2, number('./lib/../lib/one')), pwd .. '/lib/one.so',
    'm.file is resolved')
tap.is(cmod.load('./lib/one').path, './lib/one', 'm.path is as given')

-- names
tap.is(number('lib.one'), 1, 'dots are folders')
library('top', 2)
tap.is(number('top'), 2, 'a name in the working directory')
kit.overwrite('top.lua', 'error("never picked")')
tap.is(number('top'), 2, 'a .lua file beside it is never picked')
kit.overwrite('onlylua.lua', 'return {}')
tap.throws(function() cmod.load('onlylua') end, "no module 'onlylua'",
    'nor is one alone')
tap.throws(function() cmod.load('lib.one.x') end, 'no module',
    'a dot in a path is a folder')
library('dotted.name', 3)
tap.is(number('./dotted.name'), 3, 'but in a path it is a dot')

-- the rocks trees, of the nearest folder first
library('rocks/lib/lua/5.1/rock', 4)
library('rocks/lib/lua/5.1/deep/rock', 5)
tap.is(number('rock'), 4, 'the rocks tree of the working directory')
tap.is(number('deep.rock'), 5, 'a folder in it')
kit.chdir('a/b/c')
tap.is(number('rock'), 4, 'the rocks tree of a parent')
library(pwd .. '/a/rocks/lib/lua/5.1/rock', 6)
tap.is(number('rock'), 6, 'a nearer one comes first')
library('rock', 7)
tap.is(number('rock'), 7, 'the working directory comes before both')
os.remove('rock.so')
tap.is(number('rock'), 6, 'and is not remembered when it is gone')
kit.chdir(pwd)
tap.is(number('rock'), 4, 'another directory, another search')

-- package.cpath
kit.mkdir('c1')
kit.mkdir('c2')
kit.mkdir('c2/three')
library('c1/one', 8)
library('c2/one', 9)
library('c2/three/three', 10)
local cpath = package.cpath
package.cpath = './c1/?.so;./c2/?.so;./c2/?/?.so'
tap.is(number('one'), 8, 'the first template')
os.remove('c1/one.so')
tap.is(number('one'), 9, 'the next one')
tap.is(number('three'), 10, 'each ? of a template')
library('rocks/lib/lua/5.1/one', 11)
tap.is(number('one'), 11, 'rocks come first')
os.remove('rocks/lib/lua/5.1/one.so')
tap.throws(function() cmod.load('./one') end, 'no module',
    'a path is not searched for')
package.cpath = './c2/?;./c2/?.lua;;./c2/all.so'
tap.throws(function() cmod.load('one') end, "no module 'one'",
    'only templates of shared libraries')
package.cpath = nil
tap.throws(function() cmod.load('one') end, "no module 'one'", 'no cpath')
package.cpath = 5
tap.throws(function() cmod.load('one') end, "no module 'one'",
    'a cpath that is no string')
package.cpath = ('x/?.so;'):rep(2000) .. './c2/?.so'
tap.is(number('one'), 9, 'two thousand templates')
package.cpath = './' .. ('x'):rep(5000) .. '/?.so;./c2/?.so'
tap.throws(function() cmod.load('one') end, 'File name too long',
    'a template of 5,000 bytes')
package.cpath = cpath

-- a broken file is not passed over for another library of the same name
kit.symlink('nowhere', 'broken.so')
library('rocks/lib/lua/5.1/broken', 12)
tap.throws(function() cmod.load('broken') end, 'is a link to nowhere',
    'a dangling link does not hide')
kit.mkdir('shadow.so')
library('rocks/lib/lua/5.1/shadow', 13)
tap.is(number('shadow'), 13, 'a folder of that name is passed over')

tap.is(kit.live_count(), 0, 'no module is left')
tap.done()
