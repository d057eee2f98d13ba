/*
 * The switch of C stacks on x86-64.
 *
 * Saved are the registers a callee must keep. The control words of floating
 * point are saved and put back only where a stack is left and resumed: a
 * function that changes the rounding and waits must not change it for others;
 * one that returns with it changed breaks the ABI like any C function would.
 */
#include "cmod/stack_switch.h"

#ifdef CSTACK_X86_64

#include <stdint.h>

_Static_assert(offsetof(struct cstack, parked) == 0, "known to the assembly");
_Static_assert(offsetof(struct cstack, back) == 8, "known to the assembly");
_Static_assert(offsetof(struct cstack, top) == 16, "known to the assembly");
_Static_assert(offsetof(struct cstack, result) == 24, "known to the assembly");
_Static_assert(offsetof(struct cstack, fp_default) == 32,
	       "known to the assembly");
_Static_assert(offsetof(struct cstack, x87_default) == 36,
	       "known to the assembly");

/*
 * cstack__call: rbx = s, rax = the function, rdi, rsi, rdx its arguments. Gives
 * edx = 1 when it has returned, with eax; edx = 0 when it has left. Called by
 * cstack__enter() alone, whose compiler knows what it does not keep: no
 * register but rbx and rbp. (Those that a function keeps it has kept when it
 * returns; when it leaves they lie on its stack.)
 *
 * The stack pointer of the caller is in s->back, not in a register: who
 * resumes the stack after a wait is another caller, and the function returns
 * to that one. rbx, which the function keeps, leads to s; the expression given
 * for unwinding says the same, so that debuggers, profilers and crash reports
 * walk from a C stack into whoever runs it now:
 *
 *	CFA = *(rbx + 8) + 16 (rbp and the return address)
 *
 * An exception of C++ goes no further than here: see exceptions.h.
 */
__asm__(".text\n"
	".globl cstack__call\n"
	".hidden cstack__call\n"
	".type cstack__call, @function\n"
	".p2align 5\n"
	"cstack__call:\n"
	".cfi_startproc\n"
	".cfi_personality 0x1b, exceptions__personality\n"
	".cfi_lsda 0x1b, .Lcstack_caught\n"
	"	push %rbp\n"
	".cfi_def_cfa_offset 16\n"
	".cfi_offset rbp, -16\n"
	"	mov %rsp, 8(%rbx)\n"
	/* DW_CFA_def_cfa_expression: breg3 +8, deref, plus_uconst 16 */
	".cfi_escape 0x0f, 0x05, 0x73, 0x08, 0x06, 0x23, 0x10\n"
	"	mov 16(%rbx), %rsp\n"
	"	call *%rax\n"
	"	mov 8(%rbx), %rsp\n"
	"	mov $1, %edx\n"
	"	pop %rbp\n"
	"	ret\n"
	".Lcstack_caught:\n"
	"	mov 8(%rbx), %rsp\n"
	"	mov %rax, %rdi\n"
	"	call exceptions__caught\n"
	"	mov $1, %edx\n"
	"	pop %rbp\n"
	"	ret\n"
	".cfi_endproc\n"
	".size cstack__call, . - cstack__call\n");

/*
 * void cstack__leave(s): from the stack to s->back, where cstack__call goes on
 * or cstack__resume(), which leaves the same there. int cstack__resume(s): the
 * other way. The returns are jumps: the prediction of returns knows nothing of
 * a switch.
 */
__asm__(".text\n"
	".globl cstack__leave\n"
	".hidden cstack__leave\n"
	".type cstack__leave, @function\n"
	".p2align 4\n"
	"cstack__leave:\n"
	".cfi_startproc\n"
	"	push %rbp\n"
	"	push %rbx\n"
	"	push %r12\n"
	"	push %r13\n"
	"	push %r14\n"
	"	push %r15\n"
	"	sub $8, %rsp\n"
	".cfi_def_cfa_offset 64\n"
	"	stmxcsr (%rsp)\n"
	"	fnstcw 4(%rsp)\n"
	"	mov %rsp, (%rdi)\n"
	"	ldmxcsr 32(%rdi)\n"
	"	fldcw 36(%rdi)\n"
	"	mov %rdi, %rbx\n"
	"	mov 8(%rdi), %rsp\n"
	".cfi_def_cfa_offset 16\n"
	"	xor %edx, %edx\n"
	"	pop %rbp\n"
	".cfi_def_cfa_offset 8\n"
	"	pop %rcx\n"
	"	jmp *%rcx\n"
	".cfi_endproc\n"
	".size cstack__leave, . - cstack__leave\n"
	".globl cstack__resume\n"
	".hidden cstack__resume\n"
	".type cstack__resume, @function\n"
	".p2align 4\n"
	"cstack__resume:\n"
	".cfi_startproc\n"
	"	push %rbx\n"
	"	push %r12\n"
	"	push %r13\n"
	"	push %r14\n"
	"	push %r15\n"
	".cfi_def_cfa_offset 48\n"
	".cfi_offset rbx, -16\n"
	".cfi_offset r12, -24\n"
	".cfi_offset r13, -32\n"
	".cfi_offset r14, -40\n"
	".cfi_offset r15, -48\n"
	/* What cstack__call would have there: where to go on, and rbp. */
	"	lea 1f(%rip), %rcx\n"
	"	push %rcx\n"
	"	push %rbp\n"
	".cfi_adjust_cfa_offset 16\n"
	"	mov %rsp, 8(%rdi)\n"
	"	mov (%rdi), %rsp\n"
	"	ldmxcsr (%rsp)\n"
	"	fldcw 4(%rsp)\n"
	"	add $8, %rsp\n"
	"	pop %r15\n"
	"	pop %r14\n"
	"	pop %r13\n"
	"	pop %r12\n"
	"	pop %rbx\n"
	"	pop %rbp\n"
	"	pop %rcx\n"
	/* (Who unwinds looks up the byte before the place to go on.) */
	".cfi_adjust_cfa_offset -16\n"
	"	jmp *%rcx\n"
	"1:	mov %eax, 24(%rbx)\n"
	"	mov %edx, %eax\n"
	"	pop %r15\n"
	"	pop %r14\n"
	"	pop %r13\n"
	"	pop %r12\n"
	"	pop %rbx\n"
	".cfi_def_cfa_offset 8\n"
	"	ret\n"
	".cfi_endproc\n"
	".size cstack__resume, . - cstack__resume\n");

int cstack__boot(struct cstack *s)
{
	/* Aligned to 16 before the call, as the ABI wants it. */
	s->top = (void *)(((uintptr_t)s->base + s->size - 64) & ~(uintptr_t)15);
	/* As the ABI has them at the start of a program, not as they are now: a
	 * function may have changed them for a while and start a fiber. */
	s->fp_default = 0x1f80;
	s->x87_default = 0x37f;
	return 0;
}

void cstack__unboot(struct cstack *s)
{
	s->top = NULL;
}

#endif
