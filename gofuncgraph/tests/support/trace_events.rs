//! The rules of the Trace Event Format.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// A call that trace events tell of: process, thread, function, begin and end in nanoseconds.
pub type Slice = (u64, u64, String, u64, u64);

/// Kind, name and nanoseconds.
type Event = (char, String, u64);

/// Events of one track.
#[derive(Default)]
struct Track {
    name: String,
    has_sort_index: bool,
    events: Vec<Event>,
}

/// Holds `text` against the Trace Event Format ("Trace Event Format", Google, 2016), and against
/// what viewers ask for beyond it; gives its calls.
///
/// Of the viewers only speedscope is run, in tests/format_readers.rs. What others need was read from their sources
/// and is checked here: Perfetto's `json_trace_parser` wants thread ids of 32 bits, sorts by time
/// and keeps the order of what happened at the same time; Firefox Profiler's `import/chrome.ts`
/// wants a name and `ph` of every event and a number as `ts` of those it shows, and takes some
/// names for Chrome's own samples; chrome://tracing merges the arguments of B and E.
pub fn check_chrome(text: &str) -> Vec<Slice> {
    let events: Vec<Value> = serde_json::from_str(text).expect("the whole is JSON");
    let mut processes = BTreeSet::new();
    let mut tracks: BTreeMap<(u64, u64), Track> = BTreeMap::new();
    let mut slices = Vec::new();
    for event in &events {
        let text = |field: &str| event[field].as_str().unwrap_or_else(|| panic!("{event}"));
        let id = |field: &str| {
            let id = event[field].as_u64().filter(|id| *id <= u32::MAX.into());
            id.unwrap_or_else(|| panic!("{event}"))
        };
        let (pid, tid) = (id("pid"), id("tid"));
        let name = text("name").to_owned();
        let microseconds = event["ts"].as_f64().expect("a number");
        let arguments = event.get("args");
        assert!(arguments.is_none_or(|it| it.as_object().is_some_and(|it| !it.is_empty())));
        if text("ph") == "M" {
            let arguments = arguments.unwrap_or_else(|| panic!("{event}"));
            match name.as_str() {
                "process_name" => {
                    assert!(arguments["name"].is_string(), "{event}");
                    assert!(processes.insert(pid), "{event}");
                }
                "thread_name" => {
                    let name = arguments["name"].as_str().expect("it has a name");
                    let track = Track {
                        name: name.to_owned(),
                        ..Track::default()
                    };
                    assert!(tracks.insert((pid, tid), track).is_none(), "{event}");
                }
                "thread_sort_index" => {
                    assert!(arguments["sort_index"].is_u64(), "{event}");
                    let track = tracks.get_mut(&(pid, tid)).expect("it was named");
                    assert!(!std::mem::replace(&mut track.has_sort_index, true));
                }
                _ => panic!("{event}"),
            }
            continue;
        }
        let of_chrome = ["Profile", "ProfileChunk", "CpuProfile", "Screenshot"];
        assert!(!name.is_empty() && !of_chrome.contains(&name.as_str()));
        assert!(processes.contains(&pid), "{event}");
        let track = tracks.get_mut(&(pid, tid)).expect("it was named before");
        assert!(track.has_sort_index, "{event}");
        let nanoseconds = (microseconds * 1e3).round();
        assert!((microseconds * 1e3 - nanoseconds).abs() < 0.01, "{event}");
        let kind = text("ph").chars().next().expect("it is not empty");
        match kind {
            'B' => assert!(event["cat"].is_string() && arguments.is_none(), "{event}"),
            'E' => {}
            'i' => assert!(event["s"] == "t", "{event}"),
            _ => panic!("{event}"),
        }
        let time_ns = nanoseconds as u64;
        // Only one moment of a call is known.
        if kind == 'i' && text("cat") != "gofuncgraph" {
            let (function, remark) = name.rsplit_once(": ").expect("a remark follows");
            assert!(!remark.is_empty() && arguments.is_none(), "{event}");
            slices.push((pid, tid, function.to_owned(), time_ns, time_ns));
        }
        track.events.push((kind, name, time_ns));
    }
    let names: BTreeSet<_> = tracks
        .iter()
        .map(|((pid, _), track)| (pid, &track.name))
        .collect();
    assert_eq!(names.len(), tracks.len(), "a goroutine has two tracks");
    for ((pid, tid), mut track) in tracks {
        // Readers do that.
        track.events.sort_by_key(|(_, _, time_ns)| *time_ns);
        check_pairs_at_one_moment(&track.events);
        let mut open: Vec<(String, u64)> = Vec::new();
        for (kind, name, time_ns) in track.events {
            match kind {
                'B' => open.push((name, time_ns)),
                'E' => {
                    let (begun, begin_ns) = open.pop().expect("something is open");
                    assert_eq!(begun, name, "at {time_ns}");
                    assert!(begin_ns < time_ns, "{name} at {time_ns}");
                    slices.push((pid, tid, name, begin_ns, time_ns));
                }
                _ => {}
            }
        }
        assert!(open.is_empty(), "{pid} {tid}: {open:?}");
    }
    slices.sort();
    slices
}

/// speedscope does not keep the order of what happened at the same time: ends come first. Calls
/// must end all the same.
fn check_pairs_at_one_moment(events: &[Event]) {
    let of_kind = |kind| events.iter().filter(move |event| event.0 == kind);
    let mut begins = of_kind('B').peekable();
    let mut open: Vec<&str> = Vec::new();
    for (_, name, time_ns) in of_kind('E') {
        while let Some((_, begun, _)) = begins.next_if(|(.., begin_ns)| begin_ns < time_ns) {
            open.push(begun);
        }
        assert_eq!(open.pop(), Some(name.as_str()), "at {time_ns}");
    }
    assert!(begins.next().is_none() && open.is_empty(), "{open:?}");
}
