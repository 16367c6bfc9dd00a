//! What is written to a terminal.

mod support;

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use support::PATIENCE;
use support::private_binary::PrivateBinary;
use support::program::Program;
use support::tracer::Tracer;

const ROWS: u16 = 8;
const COLUMNS: u16 = 60;

/// Begins every picture of a live summary.
const CLEAR: &str = "\u{1b}[H\u{1b}[J";

/// A terminal's other end.
struct Terminal {
    news: Receiver<Vec<u8>>,
    seen: Vec<u8>,
}

impl Terminal {
    /// A terminal, and what a program writes to.
    fn open() -> (Self, OwnedFd) {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("there are terminals");
        grantpt(&master).expect("it is ours");
        unlockpt(&master).expect("it is ours");
        let name = ptsname(&master, Vec::new()).expect("it has one");
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        let slave = rustix::fs::open(name, flags, Mode::empty()).expect("it is unlocked");
        let size = Winsize {
            ws_row: ROWS,
            ws_col: COLUMNS,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&slave, size).expect("it is a terminal");
        let (sender, news) = channel();
        std::thread::spawn(move || {
            let mut master = File::from(master);
            let mut buffer = [0; 4096];
            // It fails when the last program that had it open is gone.
            while let Ok(length @ 1..) = master.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        let seen = Vec::new();
        (Self { news, seen }, slave)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen).replace("\r\n", "\n")
    }

    fn wait_for(&mut self, words: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.text().contains(words) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.news.recv_timeout(left) {
                Ok(bytes) => self.seen.extend(bytes),
                Err(error) => panic!("{words:?} is not shown ({error}): {:?}", self.text()),
            }
        }
    }

    /// Everything, once the program is gone.
    fn rest(mut self) -> String {
        while let Ok(bytes) = self.news.recv_timeout(PATIENCE) {
            self.seen.extend(bytes);
        }
        self.text()
    }
}

#[test]
fn a_live_summary_is_drawn_again_and_again() {
    let binary = PrivateBinary::program("sleeper");
    let mut program = Program::start(binary.path(), &[]);
    let (mut terminal, slave) = Terminal::open();
    let targets = ["main.quick", "main.held", "main.outer"];
    let tracer = Tracer::start_on(slave, binary.path(), &["-f", "summary"], &targets);
    program.tell("call", "called");
    terminal.wait_for("1 tree, 1 call of 1 function");
    // Nothing happens after this, and it is shown all the same.
    program.tell("call", "called");
    terminal.wait_for("2 trees, 2 calls of 1 function");
    for _ in 0..3 {
        program.tell("enter", "entered");
    }
    program.tell("leave", "left");
    terminal.wait_for("3 trees, 4 calls of 3 functions");
    tracer.stop().summary();
    let text = terminal.rest();
    let pictures: Vec<&str> = text.split(CLEAR).collect();
    let (before, pictures) = pictures.split_first().expect("there is one");
    assert_eq!(*before, "");
    let (last, live) = pictures.split_last().expect("there is one");
    assert!(live.len() >= 3, "{text:?}");
    for picture in live {
        assert!(picture.lines().count() < usize::from(ROWS), "{picture}");
        let width = picture.lines().map(|line| line.chars().count()).max();
        assert!(width <= Some(COLUMNS.into()), "{picture}");
        assert!(picture.contains("\nroot "), "{picture}");
    }
    // The last one is whole.
    assert!(last.contains("5 trees, 8 calls of 3 functions"), "{last}");
    assert!(last.contains("note: 4 calls without an exact duration"));
    assert!(last.lines().count() > usize::from(ROWS));
    assert!(last.lines().any(|line| line.len() > COLUMNS.into()));
    assert!(!last.contains('\u{1b}'), "{last:?}");
}

#[test]
fn a_summary_that_is_piped_is_written_once() {
    let binary = PrivateBinary::program("sleeper");
    let mut program = Program::start(binary.path(), &[]);
    let tracer = Tracer::start(binary.path(), &["-f", "summary"], &["main.quick"]);
    program.tell("call", "called");
    program.tell("call", "called");
    let outcome = tracer.stop();
    outcome.summary();
    assert!(outcome.stdout.starts_with("2 trees, 2 calls of 1 function"));
    assert!(!outcome.stdout.contains('\u{1b}'));
    assert_eq!(outcome.stdout.matches(" trees, ").count(), 1);
}

/// Colour is for terminals only, and not for those who do not want it.
#[test]
fn a_graph_is_coloured_on_a_terminal() {
    let binary = PrivateBinary::program("sleeper");
    let mut program = Program::start(binary.path(), &[]);
    let graph = |program: &mut Program, options: &[&str]| {
        let (mut terminal, slave) = Terminal::open();
        let options = [&["-f", "graph"], options].concat();
        let tracer = Tracer::start_on(slave, binary.path(), &options, &["main.quick"]);
        program.tell("call", "called");
        terminal.wait_for("main.quick();");
        tracer.stop().summary();
        terminal.rest()
    };
    assert!(graph(&mut program, &[]).contains("\u{1b}[2m//"));
    assert!(!graph(&mut program, &["--color", "never"]).contains('\u{1b}'));
}
