use super::super::placement::{Placement, place};
use super::super::{InstructionCost, SkipReason};
use super::*;

const START: u64 = 0x40_1000;

const TEST_RAX: &[u8] = &[0x48, 0x85, 0xc0]; // test rax, rax
const RET: &[u8] = &[0xc3];

fn entry(parts: &[&[u8]]) -> Result<EntrySite, SkipReason> {
    place(&parts.concat(), START, Placement::Standard, &mut Vec::new())
}

#[track_caller]
fn expect_cheap(offset: u32, parts: &[&[u8]]) {
    let cost = InstructionCost::Emulated;
    assert_eq!(entry(parts), Ok(EntrySite { offset, cost }));
}

#[track_caller]
fn expect_at_start(parts: &[&[u8]]) {
    let cost = InstructionCost::SingleStepped;
    assert_eq!(entry(parts), Ok(EntrySite { offset: 0, cost }));
}

/// Whether the entry probe may move past `instruction` to the emulated one behind it.
#[track_caller]
fn expect_passed(instruction: &[u8]) {
    expect_cheap(
        instruction.len() as u32,
        &[instruction, &[0x74, 0x00], RET], // je +0
    );
}

#[track_caller]
fn expect_not_passed(instruction: &[u8]) {
    expect_at_start(&[instruction, &[0x74, 0x00], RET]);
}

#[test]
fn every_kind_of_emulated_instruction_is_a_site() {
    for site in [
        &[0x74, 0x00][..],                     // je +0
        &[0x0f, 0x84, 0x00, 0x00, 0x00, 0x00], // je +0
        &[0xeb, 0x00],                         // jmp +0
        &[0x90],                               // nop
        &[0x55],                               // push rbp
        &[0xe8, 0x00, 0x10, 0x00, 0x00],       // call
    ] {
        expect_cheap(3, &[TEST_RAX, site, RET]);
    }
}

#[test]
fn an_emulated_first_instruction_stays_the_site() {
    expect_cheap(0, &[&[0x90], TEST_RAX, &[0x74, 0x00], RET]);
    expect_cheap(0, &[&[0xeb, 0x00], TEST_RAX, &[0x74, 0x00], RET]);
}

#[test]
fn the_first_of_several_is_taken() {
    expect_cheap(3, &[TEST_RAX, &[0x74, 0x01], &[0x90], RET]);
    expect_cheap(3, &[TEST_RAX, &[0x90], &[0x74, 0x00], RET]);
}

#[test]
fn the_classic_placement_is_the_first_instruction() {
    let code = [TEST_RAX, &[0x74, 0x00], RET].concat();
    let classic = place(&code, START, Placement::Classic, &mut Vec::new());
    assert_eq!(classic.map(|site| site.offset), Ok(0));
}

#[test]
fn returns_stay_where_they_are() {
    let code = [TEST_RAX, &[0x74, 0x01], RET, RET].concat();
    let mut exits = Vec::new();
    let site = place(&code, START, Placement::Standard, &mut exits);
    assert_eq!(site.map(|site| site.offset), Ok(3));
    assert_eq!(exits, [5, 6]);
}

#[test]
fn nothing_before_the_site_transfers_control() {
    expect_not_passed(&[0xff, 0xd1]); // call rcx
    expect_at_start(&[TEST_RAX, &[0x0f, 0x05], &[0x74, 0x00], RET]); // syscall
    expect_at_start(&[TEST_RAX, &[0x0f, 0x0b], &[0x74, 0x00], RET]); // ud2
}

#[test]
fn nothing_before_the_site_can_fault() {
    expect_not_passed(&[0x48, 0x8b, 0x08]); // mov rcx, [rax]
    expect_not_passed(&[0x84, 0x00]); // test [rax], al: the compiler's check for nil
    expect_not_passed(&[0x48, 0x8b, 0x4c, 0x24, 0xf8]); // mov rcx, [rsp-8]
    expect_not_passed(&[0x48, 0x8b, 0x4c, 0xc4, 0x08]); // mov rcx, [rsp+rax*8+8]
    expect_not_passed(&[0x48, 0x8b, 0x8c, 0x24, 0x00, 0x00, 0x10, 0x00]); // [rsp+0x100000]
    expect_not_passed(&[0x64, 0x48, 0x8b, 0x0c, 0x25, 0xf8, 0xff, 0xff, 0xff]); // fs:[-8]
    expect_not_passed(&[0x48, 0x8b, 0x0c, 0x25, 0x00, 0x00, 0x40, 0x00]); // [0x400000]
    expect_not_passed(&[0xf3, 0xa4]); // rep movsb
    expect_not_passed(&[0x48, 0xf7, 0xf9]); // idiv rcx
    expect_not_passed(&[0x48, 0xf7, 0xf1]); // div rcx
    expect_passed(&[0x48, 0x8b, 0x0d, 0x00, 0x10, 0x00, 0x00]); // mov rcx, [rip+0x1000]
    expect_passed(&[0x48, 0x8b, 0x4c, 0x24, 0x08]); // mov rcx, [rsp+8]
    expect_passed(&[0x48, 0x8d, 0x48, 0x08]); // lea rcx, [rax+8]
    expect_passed(&[0x0f, 0x1f, 0x40, 0x00]); // nop [rax]
}

#[test]
fn nothing_before_the_site_writes_what_others_read() {
    expect_not_passed(&[0x48, 0x89, 0x0d, 0x00, 0x10, 0x00, 0x00]); // mov [rip+0x1000], rcx
    expect_not_passed(&[0x48, 0xff, 0x05, 0x00, 0x10, 0x00, 0x00]); // inc [rip+0x1000]
    expect_not_passed(&[0x48, 0x89, 0x0c, 0x24]); // mov [rsp], rcx: the return address
    expect_passed(&[0x48, 0x89, 0x4c, 0x24, 0x08]); // mov [rsp+8], rcx
}

#[test]
fn sp_and_g_are_unchanged_at_the_site() {
    expect_not_passed(&[0x48, 0x83, 0xec, 0x18]); // sub rsp, 0x18
    expect_not_passed(&[0x5d]); // pop rbp
    expect_not_passed(&[0x9c]); // pushfq
    expect_not_passed(&[0x48, 0x8d, 0x64, 0x24, 0x80]); // lea rsp, [rsp-0x80]
    expect_not_passed(&[0x49, 0x89, 0xc6]); // mov r14, rax
    expect_not_passed(&[0x45, 0x31, 0xf6]); // xor r14d, r14d
    expect_not_passed(&[0x4c, 0x0f, 0x44, 0xf0]); // cmove r14, rax
    expect_not_passed(&[0x4d, 0x87, 0xf7]); // xchg r15, r14
    expect_passed(&[0x48, 0x39, 0xe0]); // cmp rax, rsp
    expect_passed(&[0x4c, 0x89, 0xf1]); // mov rcx, r14
}

#[test]
fn nothing_branches_into_the_way_or_to_the_site() {
    let mov = [0x48, 0x89, 0xc1]; // mov rcx, rax
    let jump_back = |site_to_jump: u8, target: u8| [0xeb, target.wrapping_sub(site_to_jump + 2)];
    // mov, test, je to the RET, then a jump back.
    let with_jump_to = |target| entry(&[&mov, TEST_RAX, &[0x74, 0x02], &jump_back(8, target), RET]);
    let offset = |target| with_jump_to(target).map(|site| site.offset);
    assert_eq!(offset(0), Err(SkipReason::MayRepeat));
    assert_eq!(offset(3), Ok(0), "into the way");
    assert_eq!(offset(6), Ok(0), "to the site");
    assert_eq!(offset(8), Ok(6), "behind the site");
    // The site itself jumps back.
    expect_at_start(&[&mov, TEST_RAX, &[0x74, 0xfb], RET]);
    assert_eq!(
        entry(&[&mov, TEST_RAX, &[0x74, 0xf8], RET]),
        Err(SkipReason::MayRepeat)
    );
}

#[test]
fn the_targets_of_a_jump_table_are_unknown() {
    expect_at_start(&[
        &[0x48, 0x83, 0xf8, 0x02],                   // cmp rax, 2
        &[0x77, 0x0a],                               // ja to the last RET
        &[0x48, 0x8d, 0x0d, 0x00, 0x00, 0x10, 0x00], // lea rcx, [rip+0x100000]
        &[0xff, 0x24, 0xc1],                         // jmp [rcx+rax*8]
        RET,
        RET,
    ]);
}

#[test]
fn the_way_is_short() {
    let je = [0x74, 0x00];
    expect_cheap(48, &[&TEST_RAX.repeat(MAX_INSTRUCTIONS), &je, RET]);
    expect_at_start(&[&TEST_RAX.repeat(MAX_INSTRUCTIONS + 1), &je, RET]);
}

#[test]
fn a_straight_line_is_entered_at_its_ret() {
    let at = |offset| {
        Ok(EntrySite {
            offset,
            cost: InstructionCost::SingleSteppedRet,
        })
    };
    assert_eq!(entry(&[RET]), at(0));
    assert_eq!(entry(&[TEST_RAX, RET]), at(3));
    assert_eq!(entry(&[TEST_RAX, RET, &[0x74, 0x00], RET]), at(3));
    let load = &[0x48, 0x8b, 0x00]; // mov rax, [rax]
    expect_at_start(&[load, RET]);
    let nop = &[0x90];
    expect_cheap(3, &[TEST_RAX, nop, RET]);
    // The RET is reached from behind as well.
    expect_at_start(&[TEST_RAX, RET, &[0xeb, 0xfd], RET]);
}

#[test]
fn code_that_is_cut_has_no_cheap_site() {
    assert_eq!(first_cheap(&[], START), None);
    assert_eq!(first_cheap(TEST_RAX, START), None);
    assert_eq!(first_cheap(&[0x48, 0x85, 0xc0, 0x06], START), None);
    assert_eq!(first_cheap(&[0x48, 0x85], START), None);
}

#[test]
fn functions_with_a_stack_check_are_not_looked_at() {
    // cmp rsp, [r14+0x10]; jbe; sub rsp, 0x18; nop; add rsp, 0x18; ret; call; jmp to the start
    let code = [
        0x49, 0x3b, 0x66, 0x10, 0x76, 0x0a, 0x48, 0x83, 0xec, 0x18, 0x90, 0x48, 0x83, 0xc4, 0x18,
        0xc3, 0xe8, 0x00, 0x10, 0x00, 0x00, 0xeb, 0xe9,
    ];
    let cost = InstructionCost::EmulatedStackCheck;
    assert_eq!(entry(&[&code]), Ok(EntrySite { offset: 4, cost }));
}
