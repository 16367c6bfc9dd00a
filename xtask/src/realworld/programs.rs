//! The programs, where they come from, and what is followed in them. What each of them does is in
//! `xtask/programs/realworld`, a script each.

/// Where a program comes from.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// A package of Debian, and the file in it.
    Debian(&'static str, &'static str),
    /// A package of npm with its version, and the file in it.
    Npm(&'static str, &'static str),
    /// What `go install` makes of a package with its version.
    Module(&'static str),
    /// The newest release's own `go` command.
    Toolchain,
}

/// A program that is traced while it works.
#[derive(Clone, Copy, Debug)]
pub struct RealProgram {
    /// Of its file and its script.
    pub name: &'static str,
    /// Where it comes from.
    pub source: Source,
    /// What is followed.
    pub patterns: &'static str,
    /// What it does, in a phrase.
    pub load: &'static str,
}

/// All of them.
pub const PROGRAMS: [RealProgram; 10] = [
    RealProgram {
        name: "caddy",
        source: Source::Debian("caddy", "usr/bin/caddy"),
        patterns: "*",
        load: "web server: 101 requests for files, half of them compressed",
    },
    RealProgram {
        name: "nats-server",
        source: Source::Debian("nats-server", "usr/sbin/nats-server"),
        patterns: "*",
        load: "message broker: 1,100 messages to two subscribers",
    },
    RealProgram {
        name: "prometheus",
        source: Source::Debian("prometheus", "usr/bin/prometheus"),
        patterns: "*",
        load: "metrics server: 221 queries",
    },
    RealProgram {
        name: "victoria-metrics",
        source: Source::Debian("victoria-metrics", "usr/bin/victoria-metrics"),
        patterns: "*",
        load: "metrics server: 2,000 samples in and out, 51 queries",
    },
    RealProgram {
        name: "bbolt",
        source: Source::Module("go.etcd.io/bbolt/cmd/bbolt@v1.5.0"),
        patterns: "*",
        load: "embedded database's tool: 2,000 keys written, checked and listed",
    },
    RealProgram {
        name: "esbuild",
        source: Source::Npm("@esbuild/linux-x64@0.28.2", "bin/esbuild"),
        patterns: "*",
        load: "bundler: 300 modules, twice",
    },
    RealProgram {
        name: "shfmt",
        source: Source::Debian("shfmt", "usr/bin/shfmt"),
        patterns: "*",
        load: "formatter: 3,000 lines, twice",
    },
    RealProgram {
        name: "minify",
        source: Source::Debian("minify", "usr/bin/minify"),
        patterns: "*",
        load: "minifier: a style sheet and a page",
    },
    RealProgram {
        name: "staticcheck",
        source: Source::Module("honnef.co/go/tools/cmd/staticcheck@v0.8.2"),
        patterns: "honnef.co/*",
        load: "linter: a module and what it imports",
    },
    RealProgram {
        name: "go",
        source: Source::Toolchain,
        patterns: "cmd/go/*",
        load: "the go command: list, doc and vet",
    },
];
