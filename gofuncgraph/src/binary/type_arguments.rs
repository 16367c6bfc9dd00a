//! Type arguments in the names of functions.
//!
//! The compiler makes one function for all types of the same shape, and names it by shapes
//! (Go: cmd/compile/internal/noder/reader.go, `shapify`): `main.Map[go.shape.int,go.shape.string]`,
//! since Go 1.21 in pclntab too. Before, pclntab has `main.Map[...]`.

use std::borrow::Cow;
use std::ops::Range;

/// What stands for type arguments that are not known, as in Go's own stack traces.
pub(super) const UNKNOWN: &str = "[...]";
/// What the name of a shape begins with.
pub(super) const SHAPE: &str = "go.shape.";

/// `name` with [`UNKNOWN`] in place of type arguments that are shapes.
pub(super) fn without_shapes(name: &str) -> Cow<'_, str> {
    if !name.contains(SHAPE) {
        return Cow::Borrowed(name);
    }
    let mut plain = String::with_capacity(name.len());
    let mut copied = 0;
    for group in groups(name) {
        if name
            .get(group.clone())
            .is_some_and(|arguments| arguments.contains(SHAPE))
        {
            plain.push_str(name.get(copied..group.start).unwrap_or_default());
            plain.push_str(UNKNOWN);
            copied = group.end;
        }
    }
    plain.push_str(name.get(copied..).unwrap_or_default());
    Cow::Owned(plain)
}

/// Where `name` has the type arguments of a function made for shapes, or [`UNKNOWN`] ones:
/// brackets included; `None` if it has none.
pub(super) fn shape_arguments(name: &str) -> Option<Range<usize>> {
    if !name.contains('[') {
        return None;
    }
    groups(name).find(|group| {
        name.get(group.clone())
            .is_some_and(|arguments| arguments == UNKNOWN || arguments.contains(SHAPE))
    })
}

/// The outermost pairs of brackets, and what is in them.
pub(super) fn groups(name: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut next = 0;
    std::iter::from_fn(move || {
        let start = next + name.get(next..)?.find('[')?;
        let end = start + length_of_group(name.get(start..)?);
        next = end;
        Some(start..end)
    })
}

/// Up to the bracket that closes the one `text` begins with; all of `text` if none does. Tags of
/// structs are quoted, and may hold anything.
fn length_of_group(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut is_quoted = false;
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' if is_quoted => {
                bytes.next();
            }
            b'"' => is_quoted = !is_quoted,
            b'[' if !is_quoted => depth += 1,
            b']' if !is_quoted => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    text.len()
}

/// The single arguments of a group, brackets included, in their order.
pub(super) fn arguments(group: &str) -> Vec<&str> {
    let inside = group
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(group);
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let mut is_quoted = false;
    let mut start = 0;
    let mut bytes = inside.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' if is_quoted => {
                bytes.next();
            }
            b'"' => is_quoted = !is_quoted,
            b'[' | b'(' | b'{' if !is_quoted => depth += 1,
            b']' | b')' | b'}' if !is_quoted => depth = depth.saturating_sub(1),
            b',' if !is_quoted && depth == 0 => {
                found.extend(inside.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    found.extend(inside.get(start..));
    found
}

/// Whether a type of which `argument` is the name can have the shape `shape`: `false` only if it
/// certainly has another one.
pub(super) fn may_have_shape(argument: &str, shape: &str) -> bool {
    let Some(shape) = shape.strip_prefix(SHAPE) else {
        return argument == shape || is_named(argument) || is_named(shape);
    };
    // Go 1.18 and 1.19 number the shapes: `go.shape.int_0`.
    let unnumbered = shape
        .rsplit_once('_')
        .filter(|(_, number)| number.bytes().all(|byte| byte.is_ascii_digit()))
        .map(|(shape, _)| shape);
    let is_shape = |wanted: &str| shape == wanted || unnumbered == Some(wanted);
    if is_named(argument) || is_shape(argument) {
        return true;
    }
    let (kind, shape_kind) = (kind_of(argument), kind_of(shape));
    if kind != shape_kind {
        return false;
    }
    match kind {
        // All pointers can share a shape.
        Some("*") => is_shape("*uint8"),
        // How such types are spelled is not relied on.
        Some(_) => argument.contains('{') || shape.contains('{'),
        None => false,
    }
}

/// What a type literal begins with; `None` of a type with a name of its own.
fn kind_of(name: &str) -> Option<&'static str> {
    let kinds = [
        "*",
        "[]",
        "[",
        "map[",
        "func(",
        "chan ",
        "chan<-",
        "<-chan",
        "struct {",
        "interface {",
    ];
    kinds.into_iter().find(|kind| name.starts_with(kind))
}

/// Whether what the type is made of cannot be told from its name.
fn is_named(name: &str) -> bool {
    const BASIC: [&str; 20] = [
        "bool",
        "string",
        "int",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "uintptr",
        "float32",
        "float64",
        "complex64",
        "complex128",
        "byte",
        "rune",
        "unsafe.Pointer",
    ];
    kind_of(name).is_none() && !BASIC.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_left_out() {
        for (name, shown) in [
            ("main.Map[go.shape.int,go.shape.string]", "main.Map[...]"),
            (
                "main.Map[go.shape.struct { X int; Y []uint8 },go.shape.[]uint8].func1",
                "main.Map[...].func1",
            ),
            (
                "internal/sync.(*HashTrieMap[go.shape.interface {},go.shape.interface {}]).Load.deferwrap1",
                "internal/sync.(*HashTrieMap[...]).Load.deferwrap1",
            ),
            (
                "type:.eq.[16]sync/atomic.Pointer[go.shape.struct { a/b.c bool }]",
                "type:.eq.[16]sync/atomic.Pointer[...]",
            ),
            (
                "main.f[go.shape.int].g[go.shape.map[string][4]int].func1",
                "main.f[...].g[...].func1",
            ),
            (
                "main.f[go.shape.struct { A int \"json:\\\"]x\\\"\" }].func1",
                "main.f[...].func1",
            ),
            ("main.f[main.box[go.shape.int]]", "main.f[...]"),
            ("main.f[int]", "main.f[int]"),
            ("main.f[...]", "main.f[...]"),
            ("main.f[go.shape.int", "main.f[...]"),
            ("go.shape.x", "go.shape.x"),
        ] {
            assert_eq!(without_shapes(name), shown, "{name}");
        }
    }

    #[test]
    fn arguments_are_told_apart() {
        assert_eq!(
            arguments(
                "[struct { A int; B map[string]func(int, string) },[2]int,func(int, string) error]"
            ),
            [
                "struct { A int; B map[string]func(int, string) }",
                "[2]int",
                "func(int, string) error"
            ]
        );
        assert_eq!(arguments("[int]"), ["int"]);
        assert_eq!(
            arguments("[struct { A int \"a,]\\\"b\" },int]"),
            ["struct { A int \"a,]\\\"b\" }", "int"]
        );
    }

    #[test]
    fn what_certainly_has_another_shape() {
        for (argument, shape, may) in [
            ("int", "go.shape.int", true),
            ("int", "go.shape.int_0", true),
            ("int", "go.shape.int8", false),
            ("int", "go.shape.*uint8", false),
            ("main.id", "go.shape.int", true),
            ("main.id", "go.shape.struct { X int }", true),
            ("error", "go.shape.interface { Error() string }", true),
            ("*main.pair", "go.shape.*uint8", true),
            ("*main.pair", "go.shape.*main.pair", true),
            ("*main.pair", "go.shape.*main.other", false),
            ("[]uint8", "go.shape.[]uint8", true),
            ("[]uint8", "go.shape.[]string", false),
            ("[4]uint8", "go.shape.[]uint8", false),
            ("[]main.t_1", "go.shape.[]main.t_1", true),
            ("struct { A int }", "go.shape.struct { main.A int }", true),
            ("struct { A int }", "go.shape.string", false),
            ("map[string]int", "go.shape.map[string]int_1", true),
            ("map[string]int", "go.shape.map[string]bool", false),
            ("int", "main.T", true),
            ("int", "int", true),
        ] {
            assert_eq!(may_have_shape(argument, shape), may, "{argument} {shape}");
        }
    }
}
