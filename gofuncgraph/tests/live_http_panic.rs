//! Handlers that panic, and what the connection's goroutine does after that.

mod support;

use support::http::{Connection, Response};
use support::private_binary::PrivateBinary;
use support::program::Program;
use support::text::{End, Trace};
use support::tracer::Tracer;

struct Server {
    program: Program,
    binary: PrivateBinary,
}

impl Server {
    fn start() -> Self {
        let binary = PrivateBinary::program("http-panic");
        let program = Program::start(binary.path(), &[]);
        Self { program, binary }
    }

    fn connect(&self) -> Connection {
        Connection::open(&self.program.ready_words()[0])
    }
}

fn response(status: u16, body: &str) -> Option<Response> {
    let body = body.to_owned();
    Some(Response { status, body })
}

/// A handler that panics calls itself down six levels before it does.
const PANICKING: &str =
    "main.handlePanic(main.fall(main.fall(main.fall(main.fall(main.fall(main.fall))))))";

fn assert_all_unwound(trace: &Trace, name: &str) {
    assert!(trace.calls_of(name).count() > 0, "{name} was called");
    for call in trace.calls_of(name) {
        assert_eq!(call.end, End::Unwound, "of {name}");
    }
}

#[test]
fn the_next_request_on_the_connection_is_not_under_the_dead_tree() {
    let server = Server::start();
    let targets = ["main.handlePanic", "main.handleFine"];
    let options = ["-u", "main.fall,main.answer"];
    let tracer = Tracer::start(server.binary.path(), &options, &targets);
    let mut connection = server.connect();
    assert_eq!(connection.get("/recovered"), response(500, "recovered\n"));
    assert_eq!(connection.get("/fine"), response(200, "fine\n"));
    assert_eq!(connection.get("/recovered"), response(500, "recovered\n"));
    let outcome = tracer.stop();

    outcome.summary().assert_nothing_lost();
    let trace = outcome.trees();
    let fine = "main.handleFine(main.answer)";
    assert_eq!(trace.shapes(), [PANICKING, fine, PANICKING]);
    assert_all_unwound(&trace, "main.handlePanic");
    assert_all_unwound(&trace, "main.fall");
    for name in ["main.handleFine", "main.answer"] {
        assert!(
            trace
                .calls_of(name)
                .all(|call| matches!(call.end, End::Returned(Some(_))))
        );
    }
}

#[test]
fn what_is_no_target_does_not_appear_after_the_panic() {
    let server = Server::start();
    let options = ["-u", "main.*"];
    let tracer = Tracer::start(server.binary.path(), &options, &["main.handlePanic"]);
    let mut connection = server.connect();
    assert_eq!(connection.get("/recovered"), response(500, "recovered\n"));
    assert_eq!(connection.get("/fine"), response(200, "fine\n"));
    assert_eq!(connection.get("/fine"), response(200, "fine\n"));
    let trace = tracer.stop().trees();

    assert_eq!(trace.trees.len(), 1);
    assert_all_unwound(&trace, "main.handlePanic");
    assert_eq!(trace.calls_of("main.handleFine").count(), 0);
    assert_eq!(trace.calls_of("main.answer").count(), 0);
}

#[test]
fn a_panic_that_net_http_recovers_ends_the_tree() {
    let server = Server::start();
    // The connection is closed before the panic is over.
    let options = ["-u", "net/http*", "-u", "main.fall", "--count", "3"];
    let targets = ["main.handlePanic", "main.handleFine"];
    let tracer = Tracer::start(server.binary.path(), &options, &targets);
    let mut connection = server.connect();
    assert_eq!(connection.get("/fine"), response(200, "fine\n"));
    assert_eq!(
        connection.get("/panic"),
        None,
        "net/http closes the connection"
    );
    assert_eq!(server.connect().get("/fine"), response(200, "fine\n"));
    let outcome = tracer.wait();

    outcome.summary().assert_nothing_lost();
    let trace = outcome.trees();
    let roots = trace.trees.iter().flat_map(|tree| &tree.roots);
    let mut roots: Vec<_> = roots.map(|&root| trace.calls[root].name.as_str()).collect();
    // net/http closes the connection before it has recovered, so the next request can be first.
    roots.sort_unstable();
    assert_eq!(
        roots,
        ["main.handleFine", "main.handleFine", "main.handlePanic"]
    );
    assert_all_unwound(&trace, "main.handlePanic");
    assert_all_unwound(&trace, "main.fall");
    // Six levels of it, of which the last panics; what recovers is outside of the tree.
    let remarks: Vec<_> = trace
        .calls_of("main.fall")
        .map(|call| &*call.remark)
        .collect();
    let [unwound @ .., panicked] = &remarks[..] else {
        panic!("{remarks:?}");
    };
    assert_eq!(
        *panicked,
        "panicked, unwound, recovered in net/http.(*conn).serve"
    );
    let words = "unwound by panic, recovered in net/http.(*conn).serve";
    assert_eq!(unwound, [words; 5]);
    // The goroutine would read the next request if it served on; it never does inside a handler.
    assert_eq!(trace.calls_of("net/http.(*conn).readRequest").count(), 0);
    // The call that recovers runs on top of the handler and returns.
    assert_eq!(trace.total().ended_otherwise, 0);
}
