//! Reports through the real binary, and the HTML one in a real browser: nothing runs, nothing is fetched, nothing is complained of.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::cli::Place;

/// A workflow whose every text is an attack on the page it may be shown in.
const HOSTILE: &str = r#"
const bad = "<script>document.title='owned';document.body.append('OWN'+'ED')</script><img src=x onerror=\"document.title='owned'\">"
  + "</pre></details></section><svg onload=alert(1)></svg><iframe src=http://127.0.0.1:9/x></iframe><link rel=stylesheet href=http://127.0.0.1:9/y>"
  + "<style>@import 'http://127.0.0.1:9/z';</style>[a](javascript:alert(1)) ![b](http://127.0.0.1:9/i.png) \u001b[31m \u202e `````"
export const meta = { name: "hostile <script>document.title='owned'</script>", description: "An attack </title><script>document.title='owned'</script>" }
phase(bad)
log(bad)
await agent(bad, { label: bad })
await parallel([() => agent(bad, { label: "two " + bad }), () => { throw new Error(bad) }])
await owf.approve({ message: bad, metadata: { [bad]: bad } })
return { [bad]: bad }
"#;

fn chromium() -> Option<&'static str> {
    let there = |name: &&str| {
        Command::new(name)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|s| s.success())
    };
    ["chromium", "chromium-browser", "google-chrome"].into_iter().find(there)
}

/// The browser for a test; none when it may be left out.
#[expect(clippy::print_stderr, reason = "what is left out is said")]
fn browser(place: &Place) -> Option<Command> {
    let Some(name) = chromium() else {
        let required = std::env::var("OWF_REQUIRE_CLIS").is_ok_and(|v| v == "1");
        assert!(!required, "OWF_REQUIRE_CLIS=1, and there is no chromium");
        eprintln!("left out: there is no chromium here");
        return None;
    };
    let mut command = Command::new(name);
    command
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-extensions",
            "--enable-logging=stderr",
            "--virtual-time-budget=2000",
        ])
        .arg(format!("--user-data-dir={}", place.path().join("browser").display()))
        .stdin(Stdio::null());
    Some(command)
}

#[test]
fn report_the_html_is_quiet_and_harmless_in_a_browser() {
    let place = Place::new();
    let Some(mut browser) = browser(&place) else { return };
    // `meta` is read before the script runs, so it stands first.
    let (before, meta) = HOSTILE.split_once("export const meta").unwrap();
    let (meta, after) = meta.split_once('\n').unwrap();
    place.file("hostile.js", &format!("export const meta{meta}\n{before}{after}"));
    let run = place.owf(&["run", "hostile.js"]);
    assert_eq!(run.code, 3, "{run:?}");
    let written = place.json(&["report", "--html", "--json"]);
    let file = written["file_path"].as_str().unwrap();
    let output = browser
        .arg(format!("--log-net-log={}", place.path().join("net.json").display()))
        .arg("--dump-dom")
        .arg(format!("file://{file}"))
        .output()
        .unwrap();
    let dom = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && dom.contains("owf report"), "{said}");
    assert!(!said.contains("CONSOLE"), "{said}");
    let title = dom.split("<title>").nth(1).unwrap().split("</title>").next().unwrap();
    assert!(title.starts_with("hostile "), "{title}");
    // The browser writes what it understood: an element of theirs would stand there as one.
    for element in ["<script", "<img", "<svg", "<iframe", "<link", "OWNED"] {
        assert!(!dom.contains(element), "{element} in {dom}");
    }
    assert_eq!(dom.matches("<style").count(), 1);
    let net = std::fs::read_to_string(place.path().join("net.json")).unwrap_or_default();
    assert!(!net.contains("127.0.0.1:9"), "the page asked for something");
}

/// What a page says of itself when it is opened so wide, in light or dark: how much wider than the window it is, in pixels, how
/// many rows its tables have, and the contrast of its text.
fn measured(place: &Place, html: &str, width: u32, dark: bool) -> Value {
    // The page lets no script run, so the one that measures goes into a copy that does.
    let policy = "content=\"default-src 'none';";
    assert_eq!(html.matches(policy).count(), 1);
    let script = "<script>addEventListener('load', () => {
        const light = colour => { const [r, g, b] = colour.match(/[\\d.]+/g).map(v => v / 255)
            .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b }
        const style = getComputedStyle(document.body), [ink, paper] = [light(style.color), light(style.backgroundColor)]
        parent.postMessage(JSON.stringify({ over: Math.max(0, document.documentElement.scrollWidth - innerWidth), width: innerWidth,
            rows: document.querySelectorAll('tr').length, dark: paper < ink,
            readable: (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05) >= 7 }), '*') })</script></body>";
    let copy = html
        .replace(policy, "content=\"default-src 'none'; script-src 'unsafe-inline';")
        .replacen("</body>", script, 1);
    place.file("measured.html", &copy);
    // A window has a least width; a frame has none.
    let frame = format!(
        "<title></title><script>onmessage = said => document.title = said.data</script>\
         <iframe src=measured.html width={width} height=900></iframe>"
    );
    let page = place.file("frame.html", &frame);
    let output = browser(place)
        .unwrap()
        .arg(format!("--blink-settings=preferredColorScheme={}", u8::from(!dark)))
        .args(["--dump-dom", &format!("file://{}", page.display())])
        .output()
        .unwrap();
    let dom = String::from_utf8_lossy(&output.stdout);
    let title = dom.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next()).unwrap_or_default();
    serde_json::from_str(title).unwrap_or_else(|_| panic!("{title}: {}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn report_of_a_thousand_calls_fits_narrow_and_wide_windows_in_light_and_dark() {
    let place = Place::new();
    if browser(&place).is_none() {
        return;
    }
    let body = "await parallel(Array.from({length: 1000}, (_, i) => () => agent('Look at this: ' + i, {label: 'review:src/some/long/path/of/a/file/' + i})));";
    place.file("w.js", &format!("export const meta = {{ name: 'w', description: 'd' }};\n{body}"));
    place.json(&["run", "w.js", "--json"]);
    let html = place.owf(&["report", "--html", "--stdout"]).out;
    for (width, dark) in [(1280, false), (1280, true), (390, false), (390, true)] {
        let page = measured(&place, &html, width, dark);
        let rows = page["rows"].as_u64().unwrap();
        assert!(rows > 1_000, "{page}");
        assert_eq!(page, json!({"over": 0, "width": width, "rows": rows, "dark": dark, "readable": true}));
    }
}

#[test]
fn report_on_paper_what_is_folded_is_open_and_tables_keep_their_columns() {
    let place = Place::new();
    let Some(mut browser) = browser(&place) else { return };
    let body = "await parallel(Array.from({length: 40}, (_, i) => () => agent('Look at this. '.repeat(80) + i, {label: 'review:src/some/path/' + i})));";
    place.file("w.js", &format!("export const meta = {{ name: 'w', description: 'd' }};\n{body}"));
    place.json(&["run", "w.js", "--json"]);
    let written = place.json(&["report", "--html", "--json"]);
    let paper = place.path().join("paper.pdf");
    let output = browser
        .arg(format!("--print-to-pdf={}", paper.display()))
        .arg(format!("file://{}", written["file_path"].as_str().unwrap()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let pdf = std::fs::read(paper).unwrap();
    let pages = pdf.split(|byte| *byte == b'\n').filter(|line| line.ends_with(b"/Type /Page")).count();
    // Folded it is five pages; with labels one letter wide it is more than twenty.
    assert!((8..=20).contains(&pages), "{pages} pages");
}

#[test]
fn report_goes_to_the_run_directory_to_a_file_or_to_standard_output() {
    let place = Place::new();
    let run = place.json(&["run", "hello", "--json"]);
    let dir = run["run_dir"].as_str().unwrap();
    let printed = place.owf(&["report"]);
    assert_eq!((printed.code, printed.out.trim().ends_with("report.md")), (0, true), "{printed:?}");
    let markdown = std::fs::read_to_string(format!("{dir}/report.md")).unwrap();
    assert_eq!(place.owf(&["report", "--stdout"]).out, markdown);
    assert_eq!(place.owf(&["report", "--html", "--out", "mine.html"]).out, "mine.html\n");
    let html = std::fs::read_to_string(place.path().join("mine.html")).unwrap();
    assert_eq!(place.owf(&["report", "--html", "--stdout"]).out, html);
    place.file("notes.md", "my notes\n");
    for (out, why) in
        [("notes.md", "exists and is no report"), (".", "is a directory"), ("no/r.md", "there is no directory")]
    {
        let refused = place.owf(&["report", "--out", out]);
        assert_eq!((refused.code, refused.err.contains(why)), (2, true), "{refused:?}");
    }
    let view = place.json(&["report", "--json"]);
    assert_eq!((view["path"].as_str(), view["format"].as_str()), (Some("report.md"), Some("markdown")));
    let listed = place.json(&["artifacts", "--kind", "report", "--json"]);
    assert_eq!(listed["artifacts"][0]["path"], "report.md");
    assert_eq!(place.owf(&["report", "nosuch"]).code, 2);
}
