/* The borders that exceptions of C++ do not cross. See exceptions.h. */
#include "cmod/exceptions.h"

#ifdef __x86_64__

#include <unwind.h>

#include "cmod/call.h"
#include "neap/module.h"

/*
 * A frame with this personality is a border. The place where an exception goes
 * on is what the frame gives for its data (.cfi_lsda); one that gives none lets
 * nothing pass, which ends the process where the exception was thrown.
 */
_Unwind_Reason_Code exceptions__personality(int version, _Unwind_Action actions,
					    _Unwind_Exception_Class kind,
					    struct _Unwind_Exception *e,
					    struct _Unwind_Context *context);

/* Where an exception of the function goes on. Returns its result. */
int exceptions__caught(struct _Unwind_Exception *e);

/* "LUAJIT2": Lua's errors, which are caught by Lua. */
static const _Unwind_Exception_Class of_lua = 0x4c55414a49543200;

__attribute__((used)) _Unwind_Reason_Code exceptions__personality(
	int version, _Unwind_Action actions, _Unwind_Exception_Class kind,
	struct _Unwind_Exception *e, struct _Unwind_Context *context)
{
	void *place = _Unwind_GetLanguageSpecificData(context);

	/* The end of a thread by pthread_exit() goes through everything. */
	if (version != 1 || (actions & _UA_FORCE_UNWIND) != 0 ||
	    kind >> 8 == of_lua >> 8)
		return _URC_CONTINUE_UNWIND;
	if (place == NULL)
		return _URC_FATAL_PHASE1_ERROR;
	if ((actions & _UA_SEARCH_PHASE) != 0)
		return _URC_HANDLER_FOUND;
	_Unwind_SetGR(context, __builtin_eh_return_data_regno(0), (uintptr_t)e);
	_Unwind_SetIP(context, (uintptr_t)place);
	return _URC_INSTALL_CONTEXT;
}

__attribute__((used)) int exceptions__caught(struct _Unwind_Exception *e)
{
	_Unwind_DeleteException(e);
	/* It counts as being thrown until somebody catches it in C++. */
	if (call_current != NULL)
		exceptions_take(cmod_func_exceptions(call_current->func));
	return NEAP_ERR("an exception of C++ has left the function");
}

__asm__(".text\n"
	".globl exceptions_border\n"
	".hidden exceptions_border\n"
	".type exceptions_border, @function\n"
	".p2align 4\n"
	"exceptions_border:\n"
	".cfi_startproc\n"
	".cfi_personality 0x1b, exceptions__personality\n"
	".cfi_lsda 0x1b, .Lexceptions_caught\n"
	"	sub $8, %rsp\n"
	".cfi_def_cfa_offset 16\n"
	"	mov %rdi, %rax\n"
	"	mov %rsi, %rdi\n"
	"	mov %rdx, %rsi\n"
	"	mov %rcx, %rdx\n"
	"	call *%rax\n"
	"	add $8, %rsp\n"
	".cfi_def_cfa_offset 8\n"
	"	ret\n"
	".Lexceptions_caught:\n"
	".cfi_def_cfa_offset 16\n"
	"	mov %rax, %rdi\n"
	"	call exceptions__caught\n"
	"	add $8, %rsp\n"
	".cfi_def_cfa_offset 8\n"
	"	ret\n"
	".cfi_endproc\n"
	".size exceptions_border, . - exceptions_border\n"
	".globl exceptions_wall\n"
	".hidden exceptions_wall\n"
	".type exceptions_wall, @function\n"
	".p2align 4\n"
	"exceptions_wall:\n"
	".cfi_startproc\n"
	".cfi_personality 0x1b, exceptions__personality\n"
	"	sub $8, %rsp\n"
	".cfi_def_cfa_offset 16\n"
	"	mov %rdi, %rax\n"
	"	mov %rsi, %rdi\n"
	"	call *%rax\n"
	"	add $8, %rsp\n"
	".cfi_def_cfa_offset 8\n"
	"	ret\n"
	".cfi_endproc\n"
	".size exceptions_wall, . - exceptions_wall\n");

#else
typedef int exceptions_unused;
#endif
