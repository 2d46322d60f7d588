//! Providers and trusted projects as lines.

use std::fmt::Write as _;

use super::text::{Paint, clean, pad, width};
use crate::engine::view::{ProviderDetail, ProvidersView, TrustView};

/// `name  kind  state  model  concurrency  where`, problems below.
pub fn providers(view: &ProvidersView, paint: &Paint) -> String {
    let mut out = String::new();
    let names = view.providers.iter().map(|p| width(&p.name)).max().unwrap_or(0);
    let models = view.providers.iter().map(|p| width(model(p))).max().unwrap_or(0);
    for row in &view.providers {
        let state = pad(if row.available { "ready" } else { "not ready" }, 9);
        let state = if row.available { paint.green(&state) } else { paint.yellow(&state) };
        let name = pad(&clean(&row.name), names);
        let _ = write!(
            out,
            "{name}  {}  {state}  {}  {:>3} at once",
            pad(&row.kind, 4),
            pad(&clean(model(row)), models),
            row.concurrency
        );
        for part in details(row) {
            let _ = write!(out, "  {}", clean(&part));
        }
        out.push('\n');
    }
    for problem in &view.problems {
        let _ = writeln!(out, "{} {}", paint.red("problem:"), clean(problem));
    }
    out
}

fn model(row: &ProviderDetail) -> &str {
    row.default_model.as_deref().unwrap_or("-")
}

fn details(row: &ProviderDetail) -> Vec<String> {
    let mut parts = Vec::new();
    if row.default {
        parts.push("default".to_owned());
    }
    parts.extend(row.version.clone());
    parts.extend(row.host.clone());
    // Of several variables the one that is set is what matters.
    let set = row.keys.iter().find(|key| key.present);
    match (set, row.keys.first()) {
        (Some(key), _) => parts.push(format!("{} is set", key.variable)),
        (None, Some(key)) if row.available => parts.push(format!("{} is not set", key.variable)),
        (None, _) => {}
    }
    parts.extend(row.message.clone());
    parts
}

/// `state  directory`.
pub fn trusted(view: &TrustView) -> String {
    let mut out = String::new();
    for row in &view.trusted {
        let _ = writeln!(out, "{}  {}", pad(&row.state, 7), clean(&row.dir));
    }
    if view.trusted.is_empty() {
        out.push_str("no project is trusted\n");
    }
    if !view.counts.is_empty() {
        let _ = writeln!(out, "counts now, until the file changes: {}", clean(&view.counts.join(", ")));
    }
    out
}
