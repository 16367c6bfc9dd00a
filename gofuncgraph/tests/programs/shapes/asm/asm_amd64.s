#include "textflag.h"

TEXT ·Add(SB), NOSPLIT, $0-24
	MOVQ a+0(FP), AX
	ADDQ b+8(FP), AX
	MOVQ AX, ret+16(FP)
	RET

TEXT ·Callback(SB), 0, $8-8
	CALL ·goCallback(SB)
	MOVQ 0(SP), AX
	MOVQ AX, ret+0(FP)
	RET
