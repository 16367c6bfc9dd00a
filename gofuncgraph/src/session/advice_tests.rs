use super::*;

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn executable(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn missing(path: &Path, targets: &[&str]) -> String {
    let source = fs::metadata(path).expect_err("it is not there");
    let path = path.to_owned();
    let error = SessionError::Open {
        path: path.clone(),
        source,
    };
    let code = error.exit_code();
    let advised = with_advice(error, &path, &words(targets));
    assert_eq!(advised.exit_code(), code);
    advised.to_string()
}

#[test]
fn a_process_is_no_program() {
    let pid = std::process::id().to_string();
    let said = missing(Path::new(&pid), &["main.f", "*g"]);
    let advice = format!("to trace the process {pid}: gofuncgraph -p {pid} main.f '*g'");
    assert!(said.ends_with(&advice), "{said}");
    let said = missing(Path::new("4194999"), &[]);
    assert!(said.ends_with("there is no process 4194999"), "{said}");
    let name = fs::read_to_string("/proc/self/comm").unwrap();
    // Ourselves is not meant, and nobody else is called like a test's thread.
    assert!(!processes_named(name.trim_end()).contains(&std::process::id()));
}

#[test]
fn the_program_stands_first() {
    let folder = tempfile::tempdir().unwrap();
    let server = executable(folder.path(), "server", b"");
    let server = server.to_str().unwrap();
    let said = missing(Path::new("*handle"), &["main.f", server]);
    let advice = format!("before the targets: gofuncgraph {server} '*handle' main.f");
    assert!(said.ends_with(&advice), "{said}");
    let said = missing(Path::new("*handle"), &["main.f"]);
    assert!(said.ends_with("gofuncgraph ./PROGRAM '*handle'"), "{said}");
    for kind in ["", "uprobe:", "uretprobe:", "u:"] {
        let said = missing(Path::new(&format!("{kind}{server}:main.(*T).f")), &[]);
        let advice = format!("of their own: gofuncgraph {server} 'main.(*T).f'");
        assert!(said.ends_with(&advice), "{said}");
    }
}

#[test]
fn what_go_has_not_built_yet() {
    let said = missing(Path::new("go"), &["run", "main.go"]);
    assert!(said.contains("go build -o NAME"), "{said}");
    let said = missing(Path::new("go"), &["test", "./..."]);
    assert!(said.contains("go test -c -o NAME"), "{said}");
    let said = missing(Path::new("/nowhere/main.go"), &[]);
    assert!(said.contains("go build -o NAME /nowhere/main.go"), "{said}");
    let said = missing(Path::new("./cmd/server"), &[]);
    assert!(said.contains("go build -o NAME ./cmd/server"), "{said}");
}

#[test]
fn a_program_of_a_similar_name() {
    let folder = tempfile::tempdir().unwrap();
    let server = executable(folder.path(), "server", b"");
    executable(folder.path(), "other-server", b"");
    fs::write(folder.path().join("servr.txt"), "").unwrap();
    let server = server.to_str().unwrap();
    for name in ["servr", "Server", "sevrer"] {
        let said = missing(&folder.path().join(name), &["main.f"]);
        let advice = format!("perhaps gofuncgraph {server} main.f");
        assert!(said.ends_with(&advice), "{said}");
    }
    let said = missing(&folder.path().join("quite_different"), &[]);
    assert!(
        said.ends_with("give the path of the program's executable file"),
        "{said}"
    );
    let said = missing(&folder.path().join("bin/server"), &[]);
    let advice = format!("there is no folder {}", folder.path().join("bin").display());
    assert!(said.ends_with(&advice), "{said}");
    // One of PATH.
    let said = missing(Path::new("sh"), &["main.f"]);
    assert!(said.ends_with("/bin/sh main.f"), "{said}");
}

#[test]
fn a_link_that_leads_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("server");
    std::os::unix::fs::symlink("../old/server", &link).unwrap();
    let said = missing(&link, &[]);
    let advice = "a symbolic link to ../old/server, which is not there";
    assert!(said.ends_with(advice), "{said}");
}

#[test]
fn a_directory() {
    let said = |folder: &Path| {
        let error = SessionError::NotAFile {
            path: folder.to_owned(),
            kind: "a directory",
        };
        with_advice(error, folder, &[]).to_string()
    };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    assert!(said(folder).ends_with("give the path of the program's executable file"));
    fs::write(folder.join("main.go"), "package main").unwrap();
    let build = format!("go build -o NAME {}", folder.display());
    assert!(said(folder).contains(&build), "{}", said(folder));
    executable(folder, "run.sh", b"#!/bin/sh\n");
    let program = executable(folder, "server", b"\x7fELF");
    let perhaps = format!("perhaps {} is meant", program.display());
    assert!(said(folder).ends_with(&perhaps), "{}", said(folder));
    assert_eq!(go_package(Path::new("cmd/server")), "./cmd/server");
    assert_eq!(go_package(Path::new("../server")), "../server");
}

#[test]
fn what_the_shell_made_of_patterns() {
    let said = |program: &str, patterns: &[&str]| {
        instead_of_unmatched(Path::new(program), patterns.iter().copied())
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("main.go");
    fs::write(&file, "").unwrap();
    let file = file.to_str().unwrap();
    let one = said("./server", &["main.f", file]).unwrap();
    assert!(
        one.starts_with(&format!("there is a file {file} here: quote")),
        "{one}"
    );
    let two = said("./server", &[file, "/"]).unwrap();
    assert!(
        two.starts_with(&format!("there are files {file}, / here: ")),
        "{two}"
    );
    assert_eq!(said("./server", &["main.f"]), None);
    let run = said("/usr/local/go/bin/go", &["run", file]).unwrap();
    assert!(run.starts_with("`go run` puts"), "{run}");
    let itself = said("/usr/local/go/bin/go", &["main.f"]).unwrap();
    assert!(
        itself.starts_with("this is the go command itself"),
        "{itself}"
    );
    assert_eq!(said("./server", &["run"]), None);
}

#[test]
fn words_as_a_shell_takes_them() {
    for (word, quoted) in [
        ("./server", "./server"),
        ("*handle", "'*handle'"),
        ("main.(*T).f", "'main.(*T).f'"),
        ("it's", "'it'\\''s'"),
        ("", "''"),
    ] {
        assert_eq!(shell_word(word), quoted);
    }
}
