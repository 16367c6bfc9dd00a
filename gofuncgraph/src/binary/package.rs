use std::borrow::Cow;

/// The package in a function's full Go name: what stands before the first `.` behind the last `/`
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
    if package.contains('%') {
        Cow::Owned(unescaped(package))
    } else {
        Cow::Borrowed(package)
    }
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
    use super::package_of;

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
