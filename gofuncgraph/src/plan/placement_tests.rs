use super::InstructionCost::{Emulated, EmulatedStackCheck, SingleStepped, SingleSteppedRet};
use super::*;

const START: u64 = 0x40_1000;

fn placed(code: &[u8], placement: Placement) -> Result<(EntrySite, Vec<u32>), SkipReason> {
    let mut exits = Vec::new();
    place(code, START, placement, &mut exits).map(|entry| (entry, exits))
}

fn standard(code: &[u8]) -> Result<(EntrySite, Vec<u32>), SkipReason> {
    placed(code, Placement::Standard)
}

fn at(offset: u32, cost: InstructionCost) -> EntrySite {
    EntrySite { offset, cost }
}

const PUSH_RBP: &[u8] = &[0x55];
const POP_RBP_RET: &[u8] = &[0x5d, 0xc3];
/// A call somewhere far below.
const CALL: &[u8] = &[0xe8, 0x00, 0xf0, 0xff, 0xff];

/// `check`, `jbe` to the end, a frame with two RETs, the call for more stack and the restart.
fn checked(check: &[u8]) -> Vec<u8> {
    let mut code = check.to_vec();
    let body = [
        PUSH_RBP,
        &[0x48, 0x89, 0xe5], // mov rbp, rsp
        &[0x48, 0x85, 0xc0], // test rax, rax
        &[0x74, 0x02],       // je +2
        POP_RBP_RET,
        POP_RBP_RET,
    ]
    .concat();
    code.extend([0x76, body.len() as u8]); // jbe
    code.extend(&body);
    code.extend(CALL);
    let back = -(code.len() as i64 + 2);
    code.extend([0xeb, back as i8 as u8]); // jmp to the start
    code.extend([0xcc; 9]);
    code
}

fn expect_after_check(check: &[u8]) {
    let site = check.len() as u32 + 2;
    let code = checked(check);
    let exits = vec![site + 10, site + 12];
    assert_eq!(standard(&code), Ok((at(site, Emulated), exits.clone())));
    assert_eq!(
        placed(&code, Placement::Classic),
        Ok((at(0, SingleStepped), exits))
    );
}

#[test]
fn small_frame() {
    expect_after_check(&[0x49, 0x3b, 0x66, 0x10]); // cmp rsp, [r14+0x10]
}

#[test]
fn large_frame() {
    expect_after_check(&[
        0x4c, 0x8d, 0x64, 0x24, 0x80, // lea r12, [rsp-0x80]
        0x4d, 0x3b, 0x66, 0x10, // cmp r12, [r14+0x10]
    ]);
    expect_after_check(&[
        0x4c, 0x8d, 0xa4, 0x24, 0x00, 0xf0, 0xff, 0xff, // lea r12, [rsp-0x1000]
        0x4d, 0x3b, 0x66, 0x10,
    ]);
}

#[test]
fn huge_frame() {
    expect_after_check(&[
        0x49, 0x89, 0xe4, // mov r12, rsp
        0x49, 0x81, 0xec, 0x00, 0x00, 0x01, 0x00, // sub r12, 0x10000
        0x72, 0x15, // jb to the call for more stack
        0x4d, 0x3b, 0x66, 0x10,
    ]);
}

#[test]
fn system_stack() {
    expect_after_check(&[0x49, 0x3b, 0x66, 0x18]); // cmp rsp, [r14+0x18]
}

#[test]
fn nosplit_with_a_frame() {
    let code = [PUSH_RBP, &[0x48, 0x89, 0xe5], CALL, POP_RBP_RET, &[0xcc; 3]].concat();
    assert_eq!(standard(&code), Ok((at(0, Emulated), vec![10])));
}

#[test]
fn frameless() {
    let add = [0x48, 0x01, 0xd8, 0xc3]; // add rax, rbx; ret
    assert_eq!(standard(&add), Ok((at(3, SingleSteppedRet), vec![3])));
    assert_eq!(
        placed(&add, Placement::Classic),
        Ok((at(0, SingleStepped), vec![3]))
    );
    let empty = [0xc3, 0xcc, 0xcc];
    assert_eq!(standard(&empty), Ok((at(0, SingleSteppedRet), vec![0])));
}

#[test]
fn ret_with_operand_and_with_prefix() {
    let code = [0x48, 0x85, 0xc0, 0x74, 0x03, 0xc2, 0x08, 0x00, 0xf3, 0xc3];
    assert_eq!(standard(&code), Ok((at(3, Emulated), vec![5, 8])));
}

#[test]
fn a_loop_to_the_entry_may_repeat() {
    let code = [
        0x8b, 0x08, // mov ecx, [rax]
        0x85, 0xc9, // test ecx, ecx
        0x74, 0xfa, // je to the start
        0xc3,
    ];
    assert_eq!(standard(&code), Err(SkipReason::MayRepeat));
    assert_eq!(
        placed(&code, Placement::Classic),
        Err(SkipReason::MayRepeat)
    );
}

#[test]
fn a_loop_to_the_push_may_repeat() {
    let mut code = checked(&[0x49, 0x3b, 0x66, 0x10]);
    let jump = code.len() - 9 - 2;
    code[jump + 1] = (6 - (jump as i64 + 2)) as i8 as u8;
    assert_eq!(standard(&code), Err(SkipReason::MayRepeat));
}

#[test]
fn tail_jumps() {
    let outside = [0x48, 0x85, 0xc0, 0xe9, 0x00, 0x10, 0x00, 0x00, 0xcc];
    assert_eq!(standard(&outside), Err(SkipReason::TailJump));
    let conditional = [0x48, 0x85, 0xc0, 0x74, 0x40, 0xc3];
    assert_eq!(standard(&conditional), Err(SkipReason::TailJump));
    let just_past_the_end = [0xeb, 0x00];
    assert_eq!(standard(&just_past_the_end), Err(SkipReason::TailJump));
    let through_register = [0xff, 0xe1]; // jmp rcx
    assert_eq!(standard(&through_register), Err(SkipReason::TailJump));
    let through_closure = [0xff, 0x22]; // jmp [rdx]
    assert_eq!(standard(&through_closure), Err(SkipReason::TailJump));
}

#[test]
fn a_switch_is_no_tail_jump() {
    let code = [
        0x48, 0x8d, 0x0d, 0x00, 0x00, 0x10, 0x00, // lea rcx, [rip+0x100000]
        0xff, 0x24, 0xc1, // jmp [rcx+rax*8]
        0xc3, 0xc3,
    ];
    assert_eq!(standard(&code), Ok((at(0, SingleStepped), vec![10, 11])));
}

#[test]
fn a_function_that_never_returns_keeps_its_entry() {
    let code = [PUSH_RBP, CALL, &[0x0f, 0x0b, 0xcc]].concat();
    assert_eq!(standard(&code), Ok((at(0, Emulated), vec![])));
    let endless = [0x55, 0x90, 0xeb, 0xfd];
    assert_eq!(standard(&endless), Ok((at(0, Emulated), vec![])));
}

#[test]
fn older_prologues_are_probed_at_the_branch_of_the_check() {
    let small: &[u8] = &[0x49, 0x3b, 0x66, 0x10]; // cmp rsp, [r14+0x10]
    let large: &[u8] = &[0x4c, 0x8d, 0x64, 0x24, 0x80, 0x4d, 0x3b, 0x66, 0x10];
    let huge: &[u8] = &[
        0x49, 0x89, 0xe4, // mov r12, rsp
        0x49, 0x81, 0xec, 0x00, 0x00, 0x01, 0x00, // sub r12, 0x10000
        0x72, 0x0b, // jb to the call for more stack
        0x4d, 0x3b, 0x66, 0x10,
    ];
    let near: &[u8] = &[0x76, 0x05];
    let far: &[u8] = &[0x0f, 0x86, 0x05, 0, 0, 0];
    let frame: &[u8] = &[0x48, 0x83, 0xec, 0x18, 0xc3]; // sub rsp, 0x18; ret
    for check in [small, large, huge] {
        for branch in [near, far] {
            let mut code = [check, branch, frame, CALL].concat();
            let back = -(code.len() as i64 + 2);
            code.extend([0xeb, back as i8 as u8]);
            let site = check.len() as u32;
            let ret = site + branch.len() as u32 + 4;
            assert_eq!(
                standard(&code),
                Ok((at(site, EmulatedStackCheck), vec![ret]))
            );
            assert_eq!(
                placed(&code, Placement::Classic),
                Ok((at(0, SingleStepped), vec![ret]))
            );
        }
    }
}

#[test]
fn half_a_stack_check_is_none() {
    let not_jbe = [0x49, 0x3b, 0x66, 0x10, 0x77, 0x01, 0x55, 0xc3];
    assert_eq!(standard(&not_jbe), Ok((at(0, SingleStepped), vec![7])));
    let other_register = [0x49, 0x3b, 0x46, 0x10, 0x76, 0x01, 0x55, 0xc3];
    assert_eq!(
        standard(&other_register),
        Ok((at(0, SingleStepped), vec![7]))
    );
    assert_eq!(standard(&[0x49, 0x3b, 0x66]), Err(SkipReason::Undecodable));
}

#[test]
fn entry_that_the_kernel_refuses() {
    let code = [0xf0, 0x48, 0x0f, 0xc1, 0x08, 0xc3]; // lock xadd [rax], rcx
    assert_eq!(standard(&code), Err(SkipReason::EntryNotProbeable));
}

#[test]
fn data_is_not_code() {
    let code = [0x55, 0x06, 0x07, 0xc3];
    assert_eq!(standard(&code), Err(SkipReason::Undecodable));
    assert_eq!(standard(&[0x06, 0xc3]), Err(SkipReason::Undecodable));
    assert_eq!(standard(&[]), Err(SkipReason::Undecodable));
    let zeros_after = [0x55, 0x5d, 0xc3, 0x00, 0x00, 0x00];
    assert_eq!(standard(&zeros_after), Ok((at(0, Emulated), vec![2])));
}

#[test]
fn direct_calls_are_found_by_their_target() {
    let code = [
        PUSH_RBP,
        &[0xe8, 0x10, 0, 0, 0], // call START+0x16
        &[0xe8, 0x0b, 0, 0, 0], // call START+0x16
        &[0xe8, 0x00, 0, 0, 0],
        &[0xc3],
    ]
    .concat();
    assert_eq!(calls_to(&code, START, &[START + 0x16]), vec![1, 6]);
    assert!(calls_to(&code, START, &[]).is_empty());
}

proptest::proptest! {
    #[test]
    fn any_bytes_have_an_answer(
        check in 0usize..4,
        code in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
        start in proptest::num::u64::ANY,
    ) {
        let checks: [&[u8]; 4] = [
            &[],
            &[0x49, 0x3b, 0x66, 0x10],
            &[0x49, 0x3b, 0x66, 0x10, 0x76, 0x05],
            &[0x4c, 0x8d, 0x64, 0x24, 0x80, 0x4d, 0x3b, 0x66, 0x10, 0x76],
        ];
        let code = [checks[check], &code].concat();
        for placement in [Placement::Standard, Placement::Classic] {
            let mut exits = Vec::new();
            if let Ok(entry) = place(&code, start, placement, &mut exits) {
                assert!((entry.offset as usize) < code.len());
                assert!(exits.is_sorted());
                assert!(exits.iter().all(|&exit| (exit as usize) < code.len()));
            }
        }
        calls_to(&code, start, &[start]);
    }
}
