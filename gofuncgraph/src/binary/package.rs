use std::borrow::Cow;

use super::type_arguments::without_shapes;

/// A function's full Go name as a reader of the source expects it: what the linker escapes in
/// paths of packages is given as it is, for instance `gopkg.in/yaml.v3.Unmarshal` for
/// `gopkg.in/yaml%2ev3.Unmarshal`, and shapes are `[...]`, as in Go's own stack traces. Where the
/// path ends cannot be told from it any more.
pub fn readable_name(function: &str) -> Cow<'_, str> {
    match without_shapes(function) {
        Cow::Borrowed(name) => unescaped_name(name),
        Cow::Owned(name) => Cow::Owned(unescaped_name(&name).into_owned()),
    }
}

/// The same with shapes as the linker writes them.
pub fn unescaped_name(function: &str) -> Cow<'_, str> {
    if function.contains('%') {
        Cow::Owned(unescaped(function))
    } else {
        Cow::Borrowed(function)
    }
}

/// The package in a function's full Go name, as the linker wrote it: what stands before the first `.` behind the last `/`
/// of the path. The linker writes dots in the last element of a path as `%2e`, and other
/// characters likewise; they are given as they are in the source.
pub fn package_of(function: &str) -> Cow<'_, str> {
    // Type arguments and receivers can hold paths of other packages.
    let path_end = function.find(['[', '(', '{']).unwrap_or(function.len());
    let path = function.get(..path_end).unwrap_or(function);
    let last_element = path.rfind('/').map_or(0, |slash| slash + 1);
    let dot = path
        .get(last_element..)
        .and_then(|element| element.find('.'));
    let package = dot
        .and_then(|dot| function.get(..last_element + dot))
        .unwrap_or_default();
    readable_name(package)
}

fn unescaped(package: &str) -> String {
    let mut bytes = Vec::with_capacity(package.len());
    let mut rest = package.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = (byte == b'%')
            .then(|| after.split_at_checked(2))
            .flatten()
            .and_then(|(digits, tail)| {
                let digits = std::str::from_utf8(digits).ok()?;
                Some((u8::from_str_radix(digits, 16).ok()?, tail))
            });
        let (byte, tail) = escaped.unwrap_or((byte, after));
        bytes.push(byte);
        rest = tail;
    }
    String::from_utf8(bytes).unwrap_or_else(|_| package.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{package_of, readable_name};

    #[test]
    fn names_are_as_in_the_source() {
        for (name, readable) in [
            (
                "gopkg.in/yaml%2ev3.(*Node).Decode",
                "gopkg.in/yaml.v3.(*Node).Decode",
            ),
            ("a%2eb.F[go.shape.*d/e%2ef.T].func1", "a.b.F[...].func1"),
            ("a.b/c.F[*d/e%2ef.T]", "a.b/c.F[*d/e.f.T]"),
            ("main.f", "main.f"),
            ("a%zzb%2.f%", "a%zzb%2.f%"),
            ("a/%ff.f", "a/%ff.f"),
            ("a/%c3%a9.f", "a/\u{e9}.f"),
        ] {
            assert_eq!(readable_name(name), readable);
        }
    }

    #[test]
    fn packages() {
        for (function, package) in [
            ("main.main", "main"),
            ("main.(*T).M", "main"),
            ("net/http.(*conn).serve", "net/http"),
            ("net/http.HandlerFunc.ServeHTTP", "net/http"),
            ("gopkg.in/yaml%2ev3.Unmarshal", "gopkg.in/yaml.v3"),
            (
                "example.com/a.b/c.F[go.shape.*example.com/d.T]",
                "example.com/a.b/c",
            ),
            (
                "example.com/a.b/c.(*M[example.com/d.T]).f",
                "example.com/a.b/c",
            ),
            ("a%zz/b%2.f", "a%zz/b%2"),
            ("x%ff.f", "x%ff"),
            ("_rt0_amd64_linux", ""),
            ("", ""),
            ("type:.eq.main.T", "type:"),
        ] {
            assert_eq!(package_of(function), package, "{function}");
        }
    }
}
