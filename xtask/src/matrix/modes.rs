//! The ways of building and linking a Go program that are tried.

/// One way of building the program.
#[derive(Clone, Copy, Debug)]
pub struct Mode {
    /// Short, for the command line and folders.
    pub name: &'static str,
    /// What a user would type, or what is done to the file afterwards.
    pub recipe: &'static str,
    /// Arguments of `go build`.
    pub arguments: &'static [&'static str],
    /// Environment of `go build`; CGO_ENABLED is 0 unless it is here.
    pub environment: &'static [(&'static str, &'static str)],
    /// What is done with the file that `go build` makes.
    pub after: After,
    /// What is built, and what runs it.
    pub shape: Shape,
    /// The first release, as in `go1.N`, that knows it.
    pub first_minor: u32,
    /// Whether the tests run it, too, with a few releases.
    pub is_core: bool,
    /// Words of the message that the file is refused with, where it has to be, and the minor version
    /// from which on it is traced.
    pub refused_with: Option<(&'static str, u32)>,
}

/// What is done with a file that was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Nothing.
    Nothing,
    /// `strip -s`.
    Strip,
    /// The marks of the build information are overwritten.
    HideBuildInfo,
    /// `objcopy` compresses the debug sections anew.
    CompressDebug,
}

/// What is built, and what runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// An executable.
    Program,
    /// What `go test -c` makes.
    Test,
    /// A shared library that a C program loads.
    SharedForC,
    /// A shared library that Python loads.
    SharedForPython,
    /// An archive that a C program is linked with.
    Archive,
    /// A plugin that a Go program loads.
    Plugin,
}

const PLAIN: Mode = Mode {
    name: "plain",
    recipe: "`go build`",
    arguments: &[],
    environment: &[],
    after: After::Nothing,
    shape: Shape::Program,
    first_minor: 17,
    is_core: false,
    refused_with: None,
};

const CGO: &[(&str, &str)] = &[("CGO_ENABLED", "1")];

/// All of them, in the order in which they are told of.
pub const MODES: &[Mode] = &[
    Mode {
        is_core: true,
        ..PLAIN
    },
    Mode {
        name: "no-symbols",
        recipe: "`-ldflags='-s -w'`",
        arguments: &["-ldflags=-s -w"],
        ..PLAIN
    },
    Mode {
        name: "stripped",
        recipe: "`strip -s`",
        after: After::Strip,
        is_core: true,
        ..PLAIN
    },
    Mode {
        name: "trimpath",
        recipe: "`-trimpath`",
        arguments: &["-trimpath"],
        ..PLAIN
    },
    Mode {
        name: "no-build-info",
        recipe: "build information overwritten",
        after: After::HideBuildInfo,
        ..PLAIN
    },
    Mode {
        name: "compressed-dwarf",
        recipe: "`objcopy --compress-debug-sections=zlib-gabi`",
        after: After::CompressDebug,
        ..PLAIN
    },
    Mode {
        name: "pie",
        recipe: "`-buildmode=pie`",
        arguments: &["-buildmode=pie"],
        is_core: true,
        ..PLAIN
    },
    Mode {
        name: "pie-stripped",
        recipe: "`-buildmode=pie`, `strip -s`",
        arguments: &["-buildmode=pie"],
        after: After::Strip,
        ..PLAIN
    },
    Mode {
        name: "pie-bfd",
        recipe: "`-buildmode=pie`, external linking by GNU ld",
        arguments: &[
            "-buildmode=pie",
            "-ldflags=-linkmode=external -extldflags=-fuse-ld=bfd",
        ],
        environment: CGO,
        ..PLAIN
    },
    Mode {
        name: "pie-bfd-stripped",
        recipe: "the same, `strip -s`",
        arguments: &[
            "-buildmode=pie",
            "-ldflags=-linkmode=external -extldflags=-fuse-ld=bfd",
        ],
        environment: CGO,
        after: After::Strip,
        ..PLAIN
    },
    Mode {
        name: "pie-lld",
        recipe: "`-buildmode=pie`, external linking by LLVM's lld",
        arguments: &[
            "-buildmode=pie",
            "-ldflags=-linkmode=external -extldflags=-fuse-ld=lld",
        ],
        environment: CGO,
        refused_with: Some(("left to the loader", 18)),
        ..PLAIN
    },
    Mode {
        name: "pie-mold",
        recipe: "`-buildmode=pie`, external linking by mold",
        arguments: &[
            "-buildmode=pie",
            "-ldflags=-linkmode=external -extldflags=-B/usr/libexec/mold",
        ],
        environment: CGO,
        ..PLAIN
    },
    Mode {
        name: "static-pie",
        recipe: "`-buildmode=pie`, external linking with `-static-pie`",
        arguments: &[
            "-buildmode=pie",
            "-ldflags=-linkmode=external -extldflags=-static-pie",
        ],
        environment: CGO,
        ..PLAIN
    },
    Mode {
        name: "cgo",
        recipe: "cgo: C calls Go, which calls C",
        arguments: &["-tags=callbacks"],
        environment: CGO,
        is_core: true,
        ..PLAIN
    },
    Mode {
        name: "cgo-pie",
        recipe: "the same, `-buildmode=pie`",
        arguments: &["-tags=callbacks", "-buildmode=pie"],
        environment: CGO,
        ..PLAIN
    },
    Mode {
        name: "musl",
        recipe: "cgo, linked with musl, static",
        arguments: &[
            "-tags=callbacks",
            "-ldflags=-linkmode=external -extldflags=-static",
        ],
        environment: &[("CGO_ENABLED", "1"), ("CC", "musl-gcc")],
        ..PLAIN
    },
    Mode {
        name: "c-shared",
        recipe: "`-buildmode=c-shared`, loaded by a C program",
        arguments: &["-buildmode=c-shared", "-tags=callbacks"],
        environment: CGO,
        shape: Shape::SharedForC,
        ..PLAIN
    },
    Mode {
        name: "c-shared-python",
        recipe: "`-buildmode=c-shared`, loaded by Python",
        arguments: &["-buildmode=c-shared", "-tags=callbacks"],
        environment: CGO,
        shape: Shape::SharedForPython,
        ..PLAIN
    },
    Mode {
        name: "c-archive",
        recipe: "`-buildmode=c-archive`, linked into a C program",
        arguments: &["-buildmode=c-archive", "-tags=callbacks"],
        environment: CGO,
        shape: Shape::Archive,
        ..PLAIN
    },
    Mode {
        name: "plugin",
        recipe: "`-buildmode=plugin`, loaded by a Go program",
        arguments: &["-buildmode=plugin"],
        environment: CGO,
        shape: Shape::Plugin,
        ..PLAIN
    },
    Mode {
        name: "unoptimised",
        recipe: "`-gcflags=all='-N -l'`",
        arguments: &["-gcflags=all=-N -l"],
        ..PLAIN
    },
    Mode {
        name: "race",
        recipe: "`-race`",
        arguments: &["-race"],
        environment: CGO,
        ..PLAIN
    },
    Mode {
        name: "cover",
        recipe: "`-cover -coverpkg=./...`",
        arguments: &["-cover", "-coverpkg=./..."],
        first_minor: 20,
        ..PLAIN
    },
    Mode {
        name: "test",
        recipe: "`go test -c`",
        shape: Shape::Test,
        ..PLAIN
    },
    Mode {
        name: "v3",
        recipe: "`GOAMD64=v3`",
        environment: &[("GOAMD64", "v3")],
        first_minor: 18,
        ..PLAIN
    },
    Mode {
        name: "386",
        recipe: "`GOARCH=386`",
        environment: &[("GOARCH", "386")],
        refused_with: Some(("32-bit", u32::MAX)),
        ..PLAIN
    },
    Mode {
        name: "arm64",
        recipe: "`GOARCH=arm64`",
        environment: &[("GOARCH", "arm64")],
        refused_with: Some(("arm64", u32::MAX)),
        ..PLAIN
    },
];
