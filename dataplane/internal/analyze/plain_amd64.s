#include "textflag.h"

DATA quotes<>+0(SB)/8, $0x2222222222222222
DATA quotes<>+8(SB)/8, $0x2222222222222222
GLOBL quotes<>(SB), RODATA|NOPTR, $16

DATA slashes<>+0(SB)/8, $0x5c5c5c5c5c5c5c5c
DATA slashes<>+8(SB)/8, $0x5c5c5c5c5c5c5c5c
GLOBL slashes<>(SB), RODATA|NOPTR, $16

DATA spaces<>+0(SB)/8, $0x2020202020202020
DATA spaces<>+8(SB)/8, $0x2020202020202020
GLOBL spaces<>(SB), RODATA|NOPTR, $16

// func plainBlocks(b []byte, i int) (end int, escaped bool)
TEXT ·plainBlocks(SB), NOSPLIT, $0-41
	MOVQ  b_base+0(FP), SI
	MOVQ  b_len+8(FP), DX
	MOVQ  i+24(FP), AX
	XORL  BX, BX                    // escaped
	LEAQ  ·simpleEscapes(SB), DI
	MOVOU quotes<>(SB), X0
	MOVOU slashes<>(SB), X1
	MOVOU spaces<>(SB), X2

block:
	LEAQ     16(AX), CX
	CMPQ     CX, DX
	JGT      done
	MOVOU    (SI)(AX*1), X3
	MOVO     X3, X4
	PCMPEQB  X0, X4                 // quotes
	MOVO     X3, X5
	PCMPEQB  X1, X5                 // backslashes
	MOVO     X2, X6
	PCMPGTB  X3, X6                 // below a space; what is not ASCII is negative
	POR      X5, X4
	POR      X6, X4
	PMOVMSKB X4, CX
	TESTL    CX, CX
	JNZ      found
	ADDQ     $16, AX
	JMP      block

found:
	BSFL CX, CX
	ADDQ CX, AX

escape:
	CMPB    (SI)(AX*1), $0x5c
	JNE     done
	LEAQ    1(AX), CX
	CMPQ    CX, DX
	JGE     done
	MOVBLZX (SI)(CX*1), CX
	CMPB    (DI)(CX*1), $0
	JEQ     done
	MOVL    $1, BX
	ADDQ    $2, AX
	CMPQ    AX, DX
	JGE     done
	CMPB    (SI)(AX*1), $0x5c
	JEQ     escape
	JMP     block

done:
	MOVQ AX, end+32(FP)
	MOVB BX, escaped+40(FP)
	RET
