//! Positions in the JavaScript that runs, turned into positions in the TypeScript that was written.

/// Where something stands in a text: line and column from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// From 1.
    pub(crate) line: u32,
    /// From 1, in UTF-16 units as the source map has them.
    pub(crate) column: u32,
}

/// A source map as sorted pairs: generated line and column, original line and column, all from 0.
#[derive(Clone, Debug, Default)]
pub(crate) struct Positions {
    tokens: Box<[[u32; 4]]>,
}

/// One call of a stack trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) function: String,
    pub(crate) at: Position,
}

impl Positions {
    pub(crate) fn new(mut tokens: Vec<[u32; 4]>) -> Self {
        tokens.sort_unstable();
        Self { tokens: tokens.into_boxed_slice() }
    }

    /// The original position of the last token at or before `at` on the same generated line, else the first on it.
    pub(crate) fn original(&self, at: Position) -> Option<Position> {
        let (line, column) = (at.line.checked_sub(1)?, at.column.saturating_sub(1));
        let after = self.tokens.partition_point(|t| (t[0], t[1]) <= (line, column));
        let before = after.checked_sub(1).map(|i| self.tokens[i]).filter(|t| t[0] == line);
        let token = before.or_else(|| self.tokens.get(after).copied().filter(|t| t[0] == line))?;
        Some(Position { line: token[2] + 1, column: token[3] + 1 })
    }

    /// The frames of a QuickJS stack trace that lie in the file `name`, in original positions, innermost first.
    pub(crate) fn frames(&self, stack: &str, name: &str) -> Vec<Frame> {
        stack.lines().filter_map(|line| frame(line, name)).filter_map(|f| self.translate(f)).collect()
    }

    fn translate(&self, frame: Frame) -> Option<Frame> {
        Some(Frame { at: self.original(frame.at)?, ..frame })
    }
}

/// Reads `    at name (file:line:column)` or `    at file:line:column`.
fn frame(line: &str, name: &str) -> Option<Frame> {
    let rest = line.trim().strip_prefix("at ")?;
    let (function, place) = match rest.strip_suffix(')').and_then(|r| r.rsplit_once(" (")) {
        Some((function, place)) => (function, place),
        None => ("", rest),
    };
    let place = place.strip_prefix(name)?.strip_prefix(':')?;
    let (line, column) = place.split_once(':').unwrap_or((place, "1"));
    let function = if function == "<anonymous>" || function == "<eval>" { "" } else { function };
    let at = Position { line: line.parse().ok()?, column: column.parse().ok()? };
    Some(Frame { function: function.to_owned(), at })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: a position maps to the last token at or before it on its line, and never to another line's.
    #[test]
    fn maps_to_the_token_at_or_before() {
        let map = Positions::new(vec![[2, 4, 10, 0], [0, 0, 5, 2], [2, 9, 11, 7]]);
        let at = |line, column| map.original(Position { line, column });
        assert_eq!(at(1, 40), Some(Position { line: 6, column: 3 }));
        assert_eq!(at(2, 1), None);
        assert_eq!(at(3, 1), Some(Position { line: 11, column: 1 }));
        assert_eq!(at(3, 10), Some(Position { line: 12, column: 8 }));
    }

    /// Property: only frames of the named file are kept, with or without a function name.
    #[test]
    fn reads_frames() {
        let stack = "    at inner (flow.ts:3:7)\n    at fetch (fastn:prelude:9:1)\n    at flow.ts:1:2\n    at native\n";
        let map = Positions::new(vec![[0, 0, 0, 0], [2, 0, 8, 4]]);
        let frames = map.frames(stack, "flow.ts");
        assert_eq!(frames[0], Frame { function: "inner".into(), at: Position { line: 9, column: 5 } });
        assert_eq!(frames[1], Frame { function: String::new(), at: Position { line: 1, column: 1 } });
        assert_eq!(frames.len(), 2);
    }
}
