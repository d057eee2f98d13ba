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
 * int cstack__enter(s, code, call, args, args_end): rdi, rsi, rdx, rcx, r8.
 *
 * The stack pointer of the caller is in s->back, not in a register: who
 * resumes the stack after a wait is another caller, and the function returns
 * to that one. rbx, which the function keeps, leads to s; the expression given
 * for unwinding says the same, so that debuggers, profilers and crash reports
 * walk from a C stack into whoever runs it now:
 *
 *	CFA = *(rbx + 8) + 56 (six registers and the return address)
 */
__asm__(".text\n"
	".globl cstack__enter\n"
	".hidden cstack__enter\n"
	".type cstack__enter, @function\n"
	".p2align 5\n"
	"cstack__enter:\n"
	".cfi_startproc\n"
	"	push %rbp\n"
	"	push %rbx\n"
	"	push %r12\n"
	"	push %r13\n"
	"	push %r14\n"
	"	push %r15\n"
	".cfi_def_cfa_offset 56\n"
	".cfi_offset rbp, -16\n"
	".cfi_offset rbx, -24\n"
	".cfi_offset r12, -32\n"
	".cfi_offset r13, -40\n"
	".cfi_offset r14, -48\n"
	".cfi_offset r15, -56\n"
	"	mov %rdi, %rbx\n"
	"	mov %rsp, 8(%rdi)\n"
	/* DW_CFA_def_cfa_expression: breg3 +8, deref, plus_uconst 56 */
	".cfi_escape 0x0f, 0x05, 0x73, 0x08, 0x06, 0x23, 0x38\n"
	"	mov 16(%rdi), %rsp\n"
	"	mov %rsi, %rax\n"
	"	mov %rdx, %rdi\n"
	"	mov %rcx, %rsi\n"
	"	mov %r8, %rdx\n"
	"	call *%rax\n"
	"	mov 8(%rbx), %rsp\n"
	"	mov %eax, 24(%rbx)\n"
	"	mov $1, %eax\n"
	"	pop %r15\n"
	"	pop %r14\n"
	"	pop %r13\n"
	"	pop %r12\n"
	"	pop %rbx\n"
	"	pop %rbp\n"
	"	ret\n"
	".cfi_endproc\n"
	".size cstack__enter, . - cstack__enter\n");

/*
 * void cstack__leave(s): from the stack to s->back, where cstack__enter() or
 * cstack__resume() return 0. int cstack__resume(s): the other way. Both push
 * the same frame. The return is a jump: the prediction of returns knows
 * nothing of a switch.
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
	"	mov 8(%rdi), %rsp\n"
	"	jmp 1f\n"
	".cfi_endproc\n"
	".size cstack__leave, . - cstack__leave\n"
	".globl cstack__resume\n"
	".hidden cstack__resume\n"
	".type cstack__resume, @function\n"
	".p2align 4\n"
	"cstack__resume:\n"
	".cfi_startproc\n"
	"	push %rbp\n"
	"	push %rbx\n"
	"	push %r12\n"
	"	push %r13\n"
	"	push %r14\n"
	"	push %r15\n"
	".cfi_def_cfa_offset 56\n"
	"	mov %rsp, 8(%rdi)\n"
	"	mov (%rdi), %rsp\n"
	"	ldmxcsr (%rsp)\n"
	"	fldcw 4(%rsp)\n"
	"	add $8, %rsp\n"
	"1:	xor %eax, %eax\n"
	"	pop %r15\n"
	"	pop %r14\n"
	"	pop %r13\n"
	"	pop %r12\n"
	"	pop %rbx\n"
	"	pop %rbp\n"
	".cfi_def_cfa_offset 8\n"
	"	pop %rcx\n"
	"	jmp *%rcx\n"
	".cfi_endproc\n"
	".size cstack__resume, . - cstack__resume\n");

int cstack__boot(struct cstack *s)
{
	/* Aligned to 16 before the call, as the ABI wants it. */
	s->top = (void *)(((uintptr_t)s->base + s->size - 64) & ~(uintptr_t)15);
	__asm__ volatile("stmxcsr %0" : "=m"(s->fp_default));
	__asm__ volatile("fnstcw %0" : "=m"(s->x87_default));
	return 0;
}

void cstack__unboot(struct cstack *s)
{
	s->top = NULL;
}

#endif
