//! Prints a file of a call.

use clap::Args;

use super::calls::run_and_call;
use crate::cli::{Context, Exit, Outcome};
use crate::core::failure::{Code, Failure};
use crate::engine::params::{CallsParams, ReadArtifactParams};
use crate::engine::view::ReadArtifactView;

/// `owf cat [RUN/]CALL`.
#[derive(Debug, Args)]
pub struct CatArgs {
    /// The call: RUN/c0009, c0009 or 9 of the latest run; or RUN/ and the path of a file of the run
    #[arg(value_name = "[RUN/]CALL")]
    pub what: String,
    /// Its prompt instead of its output
    #[arg(long, group = "which")]
    pub prompt: bool,
    /// Its transcript instead of its output
    #[arg(long, group = "which")]
    pub transcript: bool,
    /// Its error instead of its output
    #[arg(long, group = "which")]
    pub error: bool,
}

/// Prints the bytes.
pub fn run(ctx: &mut Context, args: &CatArgs) -> Outcome {
    let (run_id, path) = match args.what.split_once('/') {
        // More than a call id after the run: a path below the run directory.
        Some((run, rest)) if rest.parse::<crate::core::ids::CallId>().is_err() => {
            (Some(run.to_owned()), rest.to_owned())
        }
        _ => call_file(ctx, args)?,
    };
    let mut offset = 0;
    loop {
        let params = ReadArtifactParams {
            run_id: run_id.clone(),
            path: path.clone(),
            offset: Some(offset),
            max_bytes: Some(200_000),
            home: None,
        };
        let view = ctx.engine.read_artifact(&params)?;
        if ctx.global.json {
            ctx.out.json(&view)?;
            return Ok(Exit::Done);
        }
        let bytes = decode(&view)?;
        ctx.out.bytes(&bytes);
        match view.next_offset {
            Some(next) if view.truncated && !ctx.out.broken() => offset = i64::try_from(next).unwrap_or(i64::MAX),
            _ => return Ok(Exit::Done),
        }
    }
}

/// The run and the path of the file that a call and the flags mean.
fn call_file(ctx: &Context, args: &CatArgs) -> Result<(Option<String>, String), Failure> {
    let (run_id, call_id) = match run_and_call(Some(args.what.clone()), None) {
        (Some(call), None) => (None, Some(call)),
        both => both,
    };
    let params = CallsParams { run_id, call_id, ..CallsParams::default() };
    let view = ctx.engine.call_detail(&params)?;
    let files = &view.call.files;
    let (what, found) = if args.prompt {
        ("prompt", &files.prompt)
    } else if args.transcript {
        ("transcript", &files.transcript)
    } else if args.error {
        ("error", &files.error)
    } else {
        ("output", &files.output)
    };
    let path = found.clone().ok_or_else(|| {
        let there: Vec<_> = [
            ("output", &files.output),
            ("prompt", &files.prompt),
            ("transcript", &files.transcript),
            ("error", &files.error),
        ]
        .into_iter()
        .filter_map(|(name, path)| path.as_ref().map(|_| name))
        .collect();
        Failure::new(Code::NotFound, format!("call {} has no {what} file", view.call.row.call_id))
            .with("what", "artifact")
            .allowed(there)
            .hint("owf export writes the files that were left out")
    })?;
    Ok((Some(view.run_id.to_string()), path))
}

fn decode(view: &ReadArtifactView) -> Result<Vec<u8>, Failure> {
    if view.encoding == "base64" {
        base64(&view.content)
            .ok_or_else(|| Failure::new(Code::Internal, format!("{} came in a broken encoding", view.path)))
    } else {
        Ok(view.content.clone().into_bytes())
    }
}

/// Bytes from base64 with the standard alphabet; none when it is not.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for byte in text.bytes().filter(|b| *b != b'=' && !b.is_ascii_whitespace()) {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_comes_back_as_bytes() {
        assert_eq!(base64("AP+A"), Some(vec![0, 0xff, 0x80]));
        assert_eq!(base64("aGk="), Some(b"hi".to_vec()));
        assert_eq!(base64("a?"), None);
    }
}
