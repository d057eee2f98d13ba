/*
 * LuaJIT's own headers, of which a few files make use: only inline functions
 * and layout, for its functions are not to be linked with. Nothing of it is
 * there when the system's library serves (NEAP_LUAJIT_SYSTEM).
 */
#pragma once

#if !NEAP_LUAJIT_SYSTEM
#include <lj_obj.h>

#include <lj_gc.h>
#include <lj_tab.h>
#include <lj_ctype.h>
#include <lj_cdata.h>
#endif
