//! Tests of the file tools: confinement, rules, bounds.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::os::unix::fs::symlink;
use std::time::Duration;

use serde_json::json;

use super::*;

struct Place {
    dir: tempfile::TempDir,
    grant: Grant,
    rules: FileRules,
    bounds: Bounds,
}

impl Place {
    /// A working directory `work` beside a file that is none of it.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let work = dir.path().join("work");
        std::fs::create_dir_all(work.join("src/deep")).unwrap();
        std::fs::write(dir.path().join("outside.txt"), "secret").unwrap();
        std::fs::write(work.join("a.md"), "one\ntwo\nthree\n").unwrap();
        std::fs::write(work.join("src/b.rs"), "fn two() {}\n").unwrap();
        std::fs::write(work.join("src/deep/c.rs"), "// two\n").unwrap();
        let grant = Grant { tools: Kind::ALL.to_vec(), read: None, write: None };
        Self { dir, grant, rules: FileRules::default(), bounds: Bounds::default() }
    }

    fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    fn files(&self) -> Files {
        Files::new(&self.work(), self.grant.clone(), &self.rules, self.bounds).unwrap()
    }

    fn read(&self, path: &str) -> Result<String, String> {
        self.files().call(Kind::Read, &json!({"path": path}))
    }

    fn write(&self, path: &str, content: &str) -> Result<String, String> {
        self.files().call(Kind::Write, &json!({"path": path, "content": content}))
    }

    fn list(&self) -> String {
        self.files().call(Kind::List, &json!({})).unwrap()
    }

    fn search(&self, query: &str) -> String {
        self.files().call(Kind::Search, &json!({"query": query})).unwrap()
    }
}

#[test]
fn files_are_read_listed_searched_and_written() {
    let place = Place::new();
    let files = place.files();
    assert_eq!(files.call(Kind::Read, &json!({"path": "./a.md"})).unwrap(), "one\ntwo\nthree\n");
    assert_eq!(files.call(Kind::Read, &json!({"path": "a.md", "first_line": 2})).unwrap(), "two\nthree\n");
    assert_eq!(files.call(Kind::Read, &json!({"path": "a.md", "first_line": 9})).unwrap_err(), "a.md has 3 lines");
    assert_eq!(files.call(Kind::List, &json!({})).unwrap(), "a.md\nsrc/b.rs\nsrc/deep/c.rs");
    assert_eq!(files.call(Kind::List, &json!({"path": "src", "pattern": "*.rs"})).unwrap(), "src/b.rs\nsrc/deep/c.rs");
    assert_eq!(files.call(Kind::List, &json!({"pattern": "*.py"})).unwrap(), "no files");
    assert_eq!(
        files.call(Kind::Search, &json!({"query": "t.o"})).unwrap(),
        "a.md:2: two\nsrc/b.rs:1: fn two() {}\nsrc/deep/c.rs:1: // two"
    );
    assert_eq!(files.call(Kind::Search, &json!({"query": "two", "path": "a.md"})).unwrap(), "a.md:2: two");
    assert_eq!(
        files.call(Kind::Search, &json!({"query": "two", "pattern": "src/*.rs"})).unwrap(),
        "src/b.rs:1: fn two() {}"
    );
    assert!(files.call(Kind::Search, &json!({"query": "("})).unwrap_err().starts_with("the expression cannot be used"));
    assert_eq!(
        files.call(Kind::Write, &json!({"path": "new/deep/x.md", "content": "hé"})).unwrap(),
        "wrote 3 bytes to new/deep/x.md"
    );
    files.call(Kind::Write, &json!({"path": "a.md", "content": "all new"})).unwrap();
    assert_eq!(std::fs::read_to_string(place.work().join("a.md")).unwrap(), "all new");
    assert_eq!(files.changed(), ["a.md", "new/deep/x.md"]);
}

#[test]
fn accept_069_a_path_that_leaves_the_directory_is_refused_by_every_tool() {
    let place = Place::new();
    let files = place.files();
    for path in ["../outside.txt", "/etc/passwd", "src/../../outside.txt", "~/x", "%2e%2e/outside.txt", "a\0b"] {
        for (kind, arguments) in [
            (Kind::Read, json!({"path": path})),
            (Kind::List, json!({"path": path})),
            (Kind::Search, json!({"query": "s", "path": path})),
            (Kind::Write, json!({"path": path, "content": "x"})),
        ] {
            assert!(files.call(kind, &arguments).is_err(), "{} {path}", kind.name());
        }
    }
    assert_eq!(std::fs::read_to_string(place.dir.path().join("outside.txt")).unwrap(), "secret");
}

#[test]
fn accept_069_links_are_refused_on_read_write_and_list_wherever_they_stand() {
    let place = Place::new();
    let work = place.work();
    symlink("../outside.txt", work.join("out.txt")).unwrap();
    symlink("a.md", work.join("in.md")).unwrap();
    symlink("..", work.join("up")).unwrap();
    symlink("src", work.join("again")).unwrap();
    symlink("nowhere", work.join("dangling")).unwrap();
    for path in ["out.txt", "in.md", "up/outside.txt", "again/b.rs", "dangling"] {
        assert!(place.read(path).unwrap_err().contains("is a link or leads through one"), "{path}");
        let said = place.write(path, "x").unwrap_err();
        let through = path.contains('/');
        let refused = if through { "is a link or leads through one" } else { "is there and is no plain file" };
        assert!(said.contains(refused), "{path}: {said}");
    }
    // Neither what a link leads to was touched, nor the link replaced.
    assert_eq!(std::fs::read_to_string(place.dir.path().join("outside.txt")).unwrap(), "secret");
    assert_eq!(std::fs::read_to_string(work.join("a.md")).unwrap(), "one\ntwo\nthree\n");
    assert_eq!(std::fs::read_link(work.join("out.txt")).unwrap(), std::path::Path::new("../outside.txt"));
    assert!(!work.join("nowhere").exists());
    assert!(place.write("up/new.txt", "x").is_err());
    assert!(place.write("again/new.rs", "x").is_err());
    assert_eq!(place.list(), "a.md\nsrc/b.rs\nsrc/deep/c.rs");
    assert_eq!(place.search("secret"), "no matches");
    let listed = place.files().call(Kind::List, &json!({"path": "up"}));
    assert!(listed.unwrap_err().contains("is a link or leads through one"));
    assert!(!place.dir.path().join("new.txt").exists());
}

#[test]
fn accept_069_endings_and_rules_hold_for_read_write_and_list() {
    let mut place = Place::new();
    std::fs::create_dir_all(place.work().join("private/keys")).unwrap();
    for name in ["private/keys/x.md", "private.md", ".env.local", "src/server.pem", "notes"] {
        std::fs::write(place.work().join(name), "secret").unwrap();
    }
    place.rules = FileRules { deny: vec!["private".into()], ..FileRules::default() };
    assert_eq!(place.list(), "a.md\nnotes\nprivate.md\nsrc/b.rs\nsrc/deep/c.rs");
    for path in ["private/keys/x.md", "PRIVATE/keys/x.md", ".env.local", "src/server.pem", ".git/config"] {
        assert!(place.read(path).unwrap_err().ends_with("is refused by the rules for files"), "{path}");
        assert!(place.write(path, "x").unwrap_err().ends_with("is refused by the rules for files"), "{path}");
    }
    assert!(place.files().call(Kind::List, &json!({"path": "private"})).is_err());
    assert_eq!(place.search("secret"), "notes:1: secret\nprivate.md:1: secret");
    place.rules.extensions = Some(vec![".MD".into()]);
    assert_eq!(place.list(), "a.md\nprivate.md");
    assert_eq!(place.read("src/b.rs").unwrap_err(), "src/b.rs has an ending that is not allowed; allowed are md");
    assert!(place.read("notes").is_err() && place.write("x.rs", "").is_err() && place.write("x.md", "").is_ok());
    assert_eq!(place.search("two"), "a.md:2: two");
    // Refused before anything is done: no file, and no directory on the way to it.
    assert!(place.write("made/deep/x.rs", "x").unwrap_err().contains("ending that is not allowed"));
    assert!(!place.work().join("made").exists() && !place.work().join("x.rs").exists());
    assert_eq!(std::fs::read_to_string(place.work().join("notes")).unwrap(), "secret");
    let listed = place.files().call(Kind::List, &json!({"path": "src/b.rs"}));
    assert!(listed.as_ref().map_or(true, |text| !text.contains("b.rs")), "{listed:?}");
}

#[test]
fn scopes_bound_what_is_read_and_written() {
    let mut place = Place::new();
    place.grant = Grant { read: Some(vec!["src/deep".into()]), write: Some(vec!["out/*.md".into()]), ..place.grant };
    assert_eq!(place.list(), "src/deep/c.rs");
    assert_eq!(place.read("a.md").unwrap_err(), "a.md is outside of what may be read");
    assert_eq!(place.write("a.md", "x").unwrap_err(), "a.md is outside of what may be written");
    place.write("out/x.md", "mine").unwrap();
    // What may be written may be read.
    assert_eq!(place.read("out/x.md").unwrap(), "mine");
    assert_eq!(place.search("two"), "src/deep/c.rs:1: // two");
    place.grant.write = Some(Vec::new());
    assert!(place.write("out/y.md", "x").is_err());
    place.grant.tools = vec![Kind::Read];
    assert_eq!(place.write("out/y.md", "x").unwrap_err(), "the tool write_file is not on offer");
}

#[test]
fn sizes_are_bounded_and_the_cut_is_shown() {
    let mut place = Place::new();
    place.bounds = Bounds { read_bytes: 9, write_bytes: 4, entries: 2, matches: 1, ..place.bounds };
    assert_eq!(place.read("a.md").unwrap(), "one\ntwo\n\n[cut: 6 bytes follow; go on with first_line 3]");
    assert_eq!(place.write("x.md", "12345").unwrap_err(), "the content is too long: 5 bytes, 4 at most");
    assert_eq!(place.list(), "a.md\nsrc/b.rs\n[cut after 2 files: narrow it by path or pattern]");
    assert!(place.search("two").ends_with("[cut after 1 lines: narrow it by path, pattern or query]"));
    std::fs::write(place.work().join("bin"), [0, 1, 2]).unwrap();
    assert_eq!(place.read("bin").unwrap_err(), "bin is no text");
}

#[test]
fn what_takes_too_long_and_what_is_too_long_is_said() {
    let mut place = Place::new();
    // A file that is huge and takes no room.
    let huge = std::fs::File::create(place.work().join("huge.log")).unwrap();
    huge.set_len(1 << 40).unwrap();
    assert_eq!(place.read("huge.log").unwrap_err(), "huge.log is too long: 1099511627776 bytes, 33554432 at most");
    assert_eq!(place.search("two"), "a.md:2: two\nsrc/b.rs:1: fn two() {}\nsrc/deep/c.rs:1: // two");
    place.bounds.timeout = Duration::ZERO;
    let took = |kind, arguments: Value| place.files().call(kind, &arguments).unwrap_err();
    assert_eq!(took(Kind::List, json!({})), "it took too long; ask for less");
    assert_eq!(took(Kind::Search, json!({"query": "two"})), "it took too long; ask for less");
    assert_eq!(took(Kind::Search, json!({"query": "two", "path": "a.md"})), "it took too long; ask for less");
}

#[test]
fn no_cut_goes_through_a_known_value() {
    const KEY: &str = "canary-0123456789";
    let mut place = Place::new();
    place.bounds.read_bytes = 40;
    let env = crate::core::environment::Environment::new([("A_KEY".to_owned(), KEY.to_owned())]);
    let secrets = Redactor::of(&env, ["A_KEY"]);
    let files = place.files().with_secrets(secrets);
    // At every distance from the cut.
    for before in 20..45 {
        std::fs::write(place.work().join("k.md"), format!("{}{KEY}{}", "x".repeat(before), "y".repeat(50))).unwrap();
        let read = files.call(Kind::Read, &json!({"path": "k.md"})).unwrap();
        assert!(!read.replace(KEY, "").contains("can"), "{before}: {read}");
    }
    for before in 270..310 {
        std::fs::write(place.work().join("k.md"), format!("{}{KEY}{}", "x".repeat(before), "y".repeat(50))).unwrap();
        let found = files.call(Kind::Search, &json!({"query": "xx", "path": "k.md"})).unwrap();
        assert!(!found.replace(KEY, "").contains("can"), "{before}: {found}");
        assert!(found.len() >= "k.md:1: ".len() + 284, "{before}: {found}");
    }
}

#[test]
fn bad_arguments_are_said() {
    let files = Place::new().files();
    let said = |arguments| files.call(Kind::Read, &arguments).unwrap_err();
    assert_eq!(said(json!([])), "the arguments must be an object");
    assert_eq!(said(json!({})), "the argument path is missing");
    assert_eq!(said(json!({"path": 1})), "the argument path must be a text");
    assert_eq!(said(json!({"path": "a", "first_line": "x"})), "the argument first_line must be a whole number");
    assert_eq!(said(json!({"file": "a"})), "read_file has no argument file; it has path, first_line");
}

#[test]
fn configured_directories_outside_may_be_read_and_not_written() {
    let mut place = Place::new();
    let shared = place.dir.path().join("shared");
    std::fs::create_dir_all(&shared).unwrap();
    std::fs::write(shared.join("x.md"), "shared").unwrap();
    symlink("../outside.txt", shared.join("out.md")).unwrap();
    place.rules.roots = vec![shared.clone()];
    let path = |name: &str| shared.join(name).to_string_lossy().into_owned();
    assert_eq!(place.read(&path("x.md")).unwrap(), "shared");
    assert!(place.read(&path("out.md")).is_err());
    assert!(place.read(&path("../outside.txt")).is_err());
    assert!(place.write(&path("x.md"), "y").is_err());
    // By their paths they are listed and searched, too, by the same rules; a scope of the call speaks of its own directory.
    std::fs::create_dir_all(shared.join("deep")).unwrap();
    std::fs::write(shared.join("deep/y.md"), "also shared").unwrap();
    std::fs::write(shared.join("deep/k.pem"), "shared secret").unwrap();
    place.grant.read = Some(vec!["src".to_owned()]);
    let call = |kind, arguments| place.files().call(kind, &arguments);
    let (x, y) = (path("x.md"), path("deep/y.md"));
    assert_eq!(call(Kind::List, json!({"path": path("")})).unwrap(), format!("{x}\n{y}"));
    assert_eq!(call(Kind::List, json!({"path": path("deep"), "pattern": "*.md"})).unwrap(), y);
    assert_eq!(
        call(Kind::Search, json!({"path": path(""), "query": "shared"})).unwrap(),
        format!("{x}:1: shared\n{y}:1: also shared")
    );
    assert_eq!(call(Kind::Search, json!({"path": x, "query": "sh.*"})).unwrap(), format!("{x}:1: shared"));
    for wrong in [path("../"), path("out.md"), place.dir.path().display().to_string()] {
        assert!(call(Kind::List, json!({"path": wrong})).is_err(), "{wrong}");
    }
    assert_eq!(call(Kind::List, json!({})).unwrap(), "src/b.rs\nsrc/deep/c.rs");
}

#[test]
fn an_existing_files_mode_stays() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    let script = place.work().join("src/b.rs");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o750)).unwrap();
    place.write("src/b.rs", "new").unwrap();
    assert_eq!(script.metadata().unwrap().permissions().mode() & 0o777, 0o750);
}
