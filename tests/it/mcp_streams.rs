//! What stdin and stdout may be, and clients that misuse them: floods, silence, garbage, death.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs::File;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::cli::{Place, eventually};
use crate::support::mcp::{ERAS, Era, LEGACY, Mcp, PATIENCE, lines_of, parse, status_kib};
use crate::support::pty::Pty;
use crate::support::replies::check;

/// A short session as text: opening, a list, a refused call; the last line without an end.
fn session(era: Era) -> (String, usize) {
    let meta = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {} });
    let lines = match era {
        Era::Legacy(version) => vec![
            json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": { "protocolVersion": version,
                "capabilities": {}, "clientInfo": { "name": "x", "version": "1" } } }),
            json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" }),
            json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": { "name": "owf_list_runs" } }),
        ],
        Era::Modern => vec![
            json!({ "jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": { "_meta": meta } }),
            json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": { "_meta": meta } }),
            json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": { "name": "owf_list_runs", "_meta": meta } }),
        ],
    };
    let text: Vec<String> = lines.iter().map(Value::to_string).collect();
    (text.join("\n"), lines.len())
}

fn ids(text: &str) -> Vec<Value> {
    let messages: Vec<Value> = text.lines().map(parse).collect();
    // The one call of the session.
    let reply = messages.iter().find(|message| message["id"] == 3).unwrap();
    check("owf_list_runs", &reply["result"], false);
    let mut ids: Vec<Value> = messages.iter().map(|message| message["id"].clone()).collect();
    ids.sort_by_key(ToString::to_string);
    ids
}

#[test]
fn a_session_is_served_over_one_socket_that_does_not_block() {
    for era in ERAS {
        let place = Place::new();
        let (ours, theirs) = UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        let output: OwnedFd = theirs.try_clone().unwrap().into();
        let mut command = place.command(&["mcp"]);
        let mut child = command.stdin(OwnedFd::from(theirs)).stdout(output).spawn().unwrap();
        drop(command);
        let (text, count) = session(era);
        (&ours).write_all(text.as_bytes()).unwrap();
        ours.shutdown(Shutdown::Write).unwrap();
        let mut answers = String::new();
        (&ours).read_to_string(&mut answers).unwrap();
        assert_eq!(ids(&answers), (1..=count).map(Value::from).collect::<Vec<_>>());
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn a_session_is_served_from_a_named_pipe() {
    for era in ERAS {
        let place = Place::new();
        let path = place.path().join("fifo");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let (text, count) = session(era);
        let writer = {
            let path = path.clone();
            std::thread::spawn(move || {
                File::options().write(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
            })
        };
        let output = place.command(&["mcp"]).stdin(File::open(&path).unwrap()).output().unwrap();
        writer.join().unwrap();
        assert_eq!(ids(&String::from_utf8(output.stdout).unwrap()), (1..=count).map(Value::from).collect::<Vec<_>>());
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn a_line_typed_at_a_terminal_is_answered_and_ctrl_d_ends_the_server() {
    for era in ERAS {
        let place = Place::new();
        let mut pty = Pty::new();
        let mut command = place.command(&["mcp"]);
        let mut child = command.stdin(pty.slave()).stdout(Stdio::piped()).spawn().unwrap();
        drop(command);
        let answers = lines_of(child.stdout.take().unwrap());
        let (text, _) = session(era);
        // The terminal's own side turns the key into the end of a line.
        pty.master.write_all(text.lines().next().unwrap().as_bytes()).unwrap();
        pty.master.write_all(b"\r").unwrap();
        let answer = parse(&answers.recv_timeout(PATIENCE).unwrap());
        assert_eq!(answer["id"], 1, "{answer}");
        assert_eq!(answer["result"]["serverInfo"]["name"].as_str().is_some(), era == LEGACY, "{answer}");
        pty.master.write_all(&[4]).unwrap();
        eventually(Duration::from_secs(1), "the end of the server", || child.try_wait().unwrap().is_some());
        assert_eq!(child.wait().unwrap().code(), Some(0));
        assert_eq!(answers.iter().next(), None, "one line, one answer");
    }
}

#[test]
fn lines_that_come_in_pieces_are_put_together_while_answers_go_out() {
    let place = Place::new();
    let mut client = Mcp::start(&place);
    for round in 0..50 {
        let id = client.ask("ping", json!({}));
        let line = format!("{{\"jsonrpc\":\"2.0\",\"id\":\"r{round}\",\"method\":\"ping\"}}\n");
        for piece in line.as_bytes().chunks(7) {
            client.write(piece);
        }
        client.answer(id);
        client.answer(format!("r{round}"));
    }
}

#[test]
fn ten_thousand_requests_in_one_go_are_all_answered_within_bounds() {
    for era in ERAS {
        let place = Place::new();
        let mut client = Mcp::start_as(&place, era, "test");
        let params = client.dressed(json!({ "name": "owf_nonsense" }));
        let mut flood = Vec::new();
        for id in 0..10_000 {
            let line = json!({ "jsonrpc": "2.0", "id": format!("f{id}"), "method": "tools/call", "params": params });
            flood.extend_from_slice(line.to_string().as_bytes());
            flood.push(b'\n');
        }
        client.write(&flood);
        let mut seen = std::collections::HashSet::new();
        while seen.len() < 10_000 {
            let answer = client.next().unwrap();
            assert_eq!(answer["error"]["code"], -32602, "{answer}");
            assert!(seen.insert(answer["id"].to_string()), "answered twice: {answer}");
        }
        assert!(client.peak_kib() < 80 * 1024, "{} KiB", client.peak_kib());
    }
}

/// A stream that the server may write to: its own end, and ours as something that is only dropped.
fn unread(kind: &str) -> (OwnedFd, Box<dyn Send>) {
    if kind == "pipe" {
        let (ours, theirs) = std::io::pipe().unwrap();
        (theirs.into(), Box::new(ours))
    } else {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (theirs.into(), Box::new(ours))
    }
}

#[test]
fn a_client_that_never_reads_is_held_back_and_costs_little_and_its_end_is_the_servers_end() {
    for kind in ["pipe", "socket"] {
        let place = Place::new();
        let (theirs, ours) = unread(kind);
        let mut command = place.command(&["mcp"]);
        let mut child = command.stdin(Stdio::piped()).stdout(theirs).spawn().unwrap();
        drop(command);
        let mut input = child.stdin.take().unwrap();
        let (opening, _) = session(LEGACY);
        input.write_all(opening.as_bytes()).unwrap();
        input.write_all(b"\n").unwrap();
        // Written from a thread, since the server stops taking anything in.
        let (tx, progress) = std::sync::mpsc::channel();
        let writer = std::thread::spawn(move || {
            for id in 10..2_000_000_u32 {
                let line = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/list\"}}\n");
                if input.write_all(line.as_bytes()).is_err() || tx.send(id).is_err() {
                    return;
                }
            }
        });
        let mut taken = 0;
        while let Ok(id) = progress.recv_timeout(Duration::from_secs(2)) {
            taken = id;
        }
        assert!(taken < 100_000, "{kind}: {taken} requests were taken in");
        let peak = status_kib(child.id(), "VmHWM:");
        assert!(peak < 80 * 1024, "{kind}: {peak} KiB");
        drop(ours);
        eventually(Duration::from_secs(1), "the end of the server", || child.try_wait().unwrap().is_some());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{kind}");
        writer.join().unwrap();
    }
}

#[test]
fn nobody_reading_answers_ends_the_server_while_its_input_stays_open() {
    for era in ERAS {
        for kind in ["pipe", "socket"] {
            let place = Place::new();
            let (theirs, ours) = unread(kind);
            let mut command = place.command(&["mcp"]);
            let mut child = command.stdin(Stdio::piped()).stdout(theirs).spawn().unwrap();
            drop((command, ours));
            let mut input = child.stdin.take().unwrap();
            let (opening, _) = session(era);
            input.write_all(opening.as_bytes()).unwrap();
            input.write_all(b"\n").unwrap();
            eventually(Duration::from_secs(1), "the end of the server", || child.try_wait().unwrap().is_some());
            assert_eq!(child.wait().unwrap().code(), Some(0), "{kind} {era:?}");
        }
    }
}

#[test]
fn a_client_that_dies_leaves_its_run_alone() {
    let place = Place::new();
    place.file("f.yaml", "owf_fixtures: 1\ninvocation_log: calls.jsonl\nrules:\n  - never: true\n");
    let mut client = Mcp::start(&place);
    let script = "export const meta = { name: 'w', description: 'd' };\nreturn await agent('x');";
    let arguments = json!({ "script": script, "fixtures": "f.yaml", "wait_seconds": 40 });
    client.start_call("owf_run_workflow", arguments);
    eventually(Duration::from_secs(3), "the call", || !place.log("calls.jsonl").is_empty());
    // Both ends are closed and the server is killed, as a dying client does.
    drop(client);
    let mut second = Mcp::start(&place);
    let runs = second.call("owf_list_runs", json!({ "status": ["running"] }));
    let id = runs["runs"][0]["run_id"].clone();
    assert_eq!(second.call("owf_cancel", json!({ "run_id": id }))["status"], "cancelled");
}

#[test]
fn a_minute_of_seeded_garbage_neither_kills_nor_fattens_the_server() {
    let place = Place::new();
    let mut command = place.command(&["mcp"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let lines = lines_of(child.stdout.take().unwrap());
    let errors = lines_of(child.stderr.take().unwrap());
    let seeds: Vec<Vec<u8>> = [session(LEGACY).0, session(Era::Modern).0]
        .iter()
        .flat_map(|text| text.lines().map(|line| line.as_bytes().to_vec()).collect::<Vec<_>>())
        .chain([
            br#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3}}"#.to_vec(),
            br#"{"jsonrpc":"2.0","id":9,"method":"resources/read","params":{"uri":"owf://runs/x/report"}}"#.to_vec(),
            br#"{"jsonrpc":"2.0","id":8,"method":"prompts/get","params":{"name":"x","arguments":{"a":1}}}"#.to_vec(),
            br#"{"jsonrpc":"2.0","id":7,"method":"tasks/get","params":{"taskId":"x"}}"#.to_vec(),
            br#"{"jsonrpc":"2.0","id":6,"method":"completion/complete","params":{}}"#.to_vec(),
            br#"{"jsonrpc":"2.0","id":5,"method":"subscriptions/listen","params":{"notifications":{}}}"#.to_vec(),
            br#"{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"owf_status","arguments":{"run_id":"latest"}}}"#.to_vec(),
        ])
        .collect();
    let mut random = Random(0x5eed_0f0f_1234_5678);
    let until = Instant::now() + Duration::from_mins(1);
    let mut sent = 0;
    while Instant::now() < until {
        // A load of a few hundred lines a second, which leaves the processor to the tests beside this one.
        if sent % 16 == 0 {
            std::thread::park_timeout(Duration::from_millis(50));
        }
        let mut line = seeds[random.below(seeds.len())].clone();
        for _ in 0..random.below(6) {
            let at = random.below(line.len().max(1));
            match random.below(4) {
                0 if at < line.len() => line[at] = u8::try_from(random.below(256)).unwrap(),
                1 => line.truncate(at),
                2 => line.insert(at.min(line.len()), b"{}[]\",:0\\n\n"[random.below(11)]),
                _ => line.extend_from_slice(&seeds[random.below(seeds.len())].clone()),
            }
        }
        line.push(b'\n');
        input.write_all(&line).unwrap();
        sent += 1;
        for line in lines.try_iter() {
            parse(&line);
        }
    }
    assert!(sent > 2_000, "{sent}");
    let ping = br#"{"jsonrpc":"2.0","id":"still here","method":"ping"}"#;
    input.write_all(b"\n").unwrap();
    input.write_all(ping).unwrap();
    input.write_all(b"\n").unwrap();
    loop {
        let line = lines.recv_timeout(PATIENCE).unwrap();
        if parse(&line)["id"] == "still here" {
            break;
        }
    }
    let peak = status_kib(child.id(), "VmHWM:");
    assert!(peak < 80 * 1024, "{peak} KiB");
    drop(input);
    eventually(Duration::from_secs(1), "the end of the server", || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let said: Vec<String> = errors.iter().collect();
    assert!(said.iter().all(|line| !line.contains("panic")), "{said:?}");
}

/// A small generator, the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).unwrap()).unwrap()
    }
}
