//! The commands of the README's story on the example server.

mod support;

use std::time::{Duration, Instant};

use support::go_build::Flavor;
use support::http::Connection;
use support::private_binary::{NEWEST, PrivateBinary, releases};
use support::program::Program;
use support::text::{Call, End, Trace};
use support::tracer::Tracer;

struct Example {
    binary: PrivateBinary,
    address: String,
    _program: Program,
}

impl Example {
    fn start(binary: PrivateBinary, arguments: &[&str]) -> Self {
        let mut all_arguments = vec!["-addr", "127.0.0.1:0"];
        all_arguments.extend(arguments);
        let mut program = Program::spawn(binary.path(), &all_arguments);
        Self {
            address: program.line(),
            _program: program,
            binary,
        }
    }

    /// Asks once, and gives the status and how long the answer took.
    fn get(&self, path: &str) -> (u16, Duration) {
        let mut connection = Connection::open(&self.address);
        let begin = Instant::now();
        let response = connection.get(path).expect("the example answers");
        (response.status, begin.elapsed())
    }
}

fn duration(call: &Call) -> Duration {
    call.duration
        .unwrap_or_else(|| panic!("{} has no duration", call.name))
}

fn root(trace: &Trace, tree: usize) -> &Call {
    let [root] = trace.trees[tree].roots[..] else {
        panic!("tree {tree} has several roots");
    };
    &trace.calls[root]
}

fn assert_all_returned(trace: &Trace) {
    for call in &trace.calls {
        assert!(matches!(call.end, End::Returned(Some(_))), "{call:?}");
    }
}

#[test]
fn the_handler_alone() {
    let example = Example::start(PrivateBinary::example(NEWEST), &["-max-delay", "20ms"]);
    let tracer = Tracer::start(example.binary.path(), &[], &["*handleBar"]);
    let answers = [(); 3].map(|()| example.get("/bar"));
    let outcome = tracer.stop();

    outcome.summary().assert_nothing_lost();
    let trace = outcome.trees();
    assert_eq!(trace.shapes(), ["main.handleBar"; 3]);
    assert_all_returned(&trace);
    for (tree, (status, waited)) in answers.into_iter().enumerate() {
        assert_eq!(status, 200);
        assert!(duration(root(&trace, tree)) <= waited);
    }
    let caller = root(&trace, 0)
        .call_site
        .as_ref()
        .expect("nothing was lost");
    assert_eq!(caller.function, "net/http.HandlerFunc.ServeHTTP");
    assert!(caller.file.ends_with("/net/http/server.go"), "{caller:?}");
}

#[test]
fn the_seeds_command() {
    for variant in releases(Flavor::NoSymbols) {
        let example = Example::start(PrivateBinary::example(variant), &["-max-delay", "20ms"]);
        let options = ["--uprobe-wildcards", "net/http*"];
        let tracer = Tracer::start(example.binary.path(), &options, &["*handleBar"]);
        assert_eq!(example.get("/bar").0, 200);
        assert_eq!(example.get("/bar").0, 200);
        let outcome = tracer.stop();

        outcome.assert_says(&["found ", " uprobes", "tracing started: "]);
        outcome.summary().assert_nothing_lost();
        let trace = outcome.trees();
        assert_eq!(trace.trees.len(), 2);
        assert_all_returned(&trace);
        for tree in 0..2 {
            let root = root(&trace, tree);
            assert_eq!(root.name, "main.handleBar");
            let children = root
                .children
                .iter()
                .map(|&child| trace.calls[child].name.as_str());
            let children: Vec<&str> = children.collect();
            assert!(
                children.contains(&"net/http.(*response).Write"),
                "{children:?}"
            );
            // fmt is between the two, and was not asked for.
            let child = &trace.calls[root.children[children.len() - 1]];
            let caller = child.call_site.as_ref().expect("nothing was lost");
            assert_eq!(caller.function, "fmt.Fprintf");
        }
        for name in trace.names() {
            assert!(
                name == "main.handleBar" || name.starts_with("net/http"),
                "{name}"
            );
            assert!(!name.contains("/vendor/"), "{name}");
        }
    }
}

#[test]
fn the_log_package_is_the_culprit() {
    let example = Example::start(PrivateBinary::example(NEWEST), &["-max-delay", "400ms"]);
    let options = ["-u", "*/internal/log.*"];
    let tracer = Tracer::start(example.binary.path(), &options, &["*handleBar"]);
    for _ in 0..6 {
        assert_eq!(example.get("/bar").0, 200);
    }
    let outcome = tracer.stop();

    outcome.summary().assert_nothing_lost();
    let trace = outcome.trees();
    assert_eq!(trace.trees.len(), 6);
    assert_all_returned(&trace);
    // The delay is random: the longest of six is hardly ever a short one.
    let slowest = (0..6)
        .map(|tree| root(&trace, tree))
        .max_by_key(|root| duration(root));
    let slowest = slowest.expect("there are six");
    let [debug] = slowest.children[..] else {
        panic!("handleBar calls Debug once: {slowest:?}");
    };
    let debug = &trace.calls[debug];
    assert_eq!(
        debug.name,
        "example.com/gofuncgraph/example-go/internal/log.Debug"
    );
    let (inside, all) = (duration(debug), duration(slowest));
    assert!(all >= Duration::from_millis(20), "{all:?}");
    assert!(inside * 10 >= all * 9, "{inside:?} of {all:?}");
}

#[test]
fn the_timeout_of_send_is_caught() {
    let example = Example::start(PrivateBinary::example(NEWEST), &["-drop-every", "3"]);
    let options = ["-u", "*/internal/netlink.*"];
    let tracer = Tracer::start(example.binary.path(), &options, &["*handleSend"]);
    let statuses = [(); 3].map(|()| example.get("/send?x").0);
    let outcome = tracer.stop();

    assert_eq!(statuses, [200, 200, 504]);
    outcome.summary().assert_nothing_lost();
    let trace = outcome.trees();
    assert_eq!(trace.trees.len(), 3);
    assert_all_returned(&trace);
    for tree in 0..3 {
        let mut call = root(&trace, tree);
        let mut path = vec![short_name(call)];
        while let Some(child) = slowest_child(&trace, call) {
            call = child;
            path.push(short_name(call));
            if path.last() == Some(&"readResponse") {
                break;
            }
        }
        assert_eq!(path, ["handleSend", "Send", "sendWithAck", "readResponse"]);
        let timeout = Duration::from_millis(250);
        assert_eq!(duration(call) >= timeout, tree == 2, "{call:?}");
    }
    // It runs on a goroutine of its own, which no target is on.
    assert!(
        trace
            .names()
            .iter()
            .all(|name| !name.ends_with("fillRecvBuffer"))
    );
}

fn slowest_child<'a>(trace: &'a Trace, call: &Call) -> Option<&'a Call> {
    let children = call.children.iter().map(|&child| &trace.calls[child]);
    children.max_by_key(|child| duration(child))
}

/// What follows the last dot.
fn short_name(call: &Call) -> &str {
    call.name.rsplit('.').next().unwrap_or(&call.name)
}
