//! A screen drawn over its earlier self.

use crate::cli::Out;

/// Remembers how many lines stand there.
#[derive(Debug, Default)]
pub(super) struct Redraw {
    lines: usize,
}

impl Redraw {
    /// Draws `lines` where the earlier ones stand.
    pub(super) fn draw(&mut self, out: &mut Out, lines: &[String]) {
        let mut text = self.up();
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        self.lines = lines.len();
        out.raw_note(&text);
    }

    /// Takes the screen away.
    pub(super) fn clear(&mut self, out: &mut Out) {
        if self.lines > 0 {
            let text = self.up();
            self.lines = 0;
            out.raw_note(&text);
        }
    }

    /// To the first line, and everything from there on erased.
    fn up(&self) -> String {
        if self.lines == 0 { String::new() } else { format!("\x1b[{}A\r\x1b[J", self.lines) }
    }
}
