/*
 * Names of Tarantool's module.h that are not here. A source that uses one does
 * not compile, rather than be refused when it is loaded.
 */
#ifndef NEAP_COMPAT_ABSENT_H
#define NEAP_COMPAT_ABSENT_H

#if defined(__GNUC__) && !defined(NEAP_COMPAT_ALLOW_ABSENT)

/* the database */
#pragma GCC poison box_delete box_insert box_replace box_select box_truncate
#pragma GCC poison box_update box_upsert box_index_bsize box_index_count
#pragma GCC poison box_index_get box_index_id_by_name box_index_iterator
#pragma GCC poison box_index_len box_index_max box_index_min box_index_random
#pragma GCC poison box_iterator_free box_iterator_next box_key_def_delete
#pragma GCC poison box_key_def_new box_latch_delete box_latch_lock
#pragma GCC poison box_latch_new box_latch_trylock box_latch_unlock
#pragma GCC poison box_return_tuple box_sequence_current box_sequence_next
#pragma GCC poison box_sequence_reset box_sequence_set box_session_push
#pragma GCC poison box_space_id_by_name box_tuple_bsize box_tuple_compare
#pragma GCC poison box_tuple_compare_with_key box_tuple_extract_key
#pragma GCC poison box_tuple_field box_tuple_field_count box_tuple_format
#pragma GCC poison box_tuple_format_default box_tuple_format_new
#pragma GCC poison box_tuple_format_ref box_tuple_format_unref
#pragma GCC poison box_tuple_iterator box_tuple_iterator_free box_tuple_new
#pragma GCC poison box_tuple_next box_tuple_position box_tuple_ref
#pragma GCC poison box_tuple_rewind box_tuple_seek box_tuple_to_buf
#pragma GCC poison box_tuple_unref box_tuple_update box_tuple_upsert box_txn
#pragma GCC poison box_txn_alloc box_txn_begin box_txn_commit box_txn_id
#pragma GCC poison box_txn_rollback cord_slab_cache

/* helpers for Lua's C API */
#pragma GCC poison luaL_cdef luaL_checkcdata luaL_checkint64 luaL_checkuint64
#pragma GCC poison luaL_ctypeid luaL_iscallable luaL_pushcdata luaL_pushint64
#pragma GCC poison luaL_pushuint64 luaL_setcdatagc luaL_toint64 luaL_touint64
#pragma GCC poison luaT_call luaT_checktuple luaT_cpcall luaT_error
#pragma GCC poison luaT_istuple luaT_push_nil_and_error luaT_pusherror
#pragma GCC poison luaT_pushtuple luaT_state luaT_tolstring

/* fibers, as later versions have them */
#pragma GCC poison fiber_set_ctx fiber_get_ctx

#endif

#endif
