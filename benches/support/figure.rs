//! One line of a table of figures, and what is read of a process for it.

/// One line of the table.
pub(crate) struct Figure {
    pub(crate) what: &'static str,
    pub(crate) goal: &'static str,
    pub(crate) measured: String,
    /// Whether the goal was met; none where there is none.
    pub(crate) met: Option<bool>,
}

/// Prints the table.
pub(crate) fn show(table: &[Figure]) {
    println!("| figure | goal | measured | met |\n|---|---|---|---|");
    for f in table {
        let met = match f.met {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "",
        };
        println!("| {} | {} | {} | {met} |", f.what, f.goal, f.measured);
    }
}

/// The most memory a process held so far, in megabytes.
pub(crate) fn resident_peak_mb(process: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let kb =
        status.lines().find_map(|l| l.strip_prefix("VmHWM:")).and_then(|l| l.split_whitespace().next()?.parse().ok());
    kb.unwrap_or(0.0) / 1024.0
}
