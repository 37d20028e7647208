//! Text whose lines were broken for transport: RFC 3676.

/// Joins the lines of each paragraph. `del_sp` says that the space at a soft break goes with it.
pub fn unfold(text: &str, del_sp: bool) -> String {
    let mut out = String::with_capacity(text.len());
    // How deep the paragraph is quoted that goes on in the next line.
    let mut open: Option<usize> = None;
    for line in text.split_inclusive('\n') {
        let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
        let depth = line.bytes().take_while(|byte| *byte == b'>').count();
        let content = &line[depth..];
        let content = content.strip_prefix(' ').unwrap_or(content);
        if open != Some(depth) {
            if open.is_some() {
                out.push('\n');
            }
            out.extend(std::iter::repeat_n('>', depth));
            if depth > 0 && !content.is_empty() {
                out.push(' ');
            }
        }
        // The line before a signature is no soft break.
        let is_soft = content.ends_with(' ') && content != "-- " && !end.is_empty();
        open = is_soft.then_some(depth);
        match is_soft {
            true => out += if del_sp { &content[..content.len() - 1] } else { content },
            false => {
                out += content;
                out += end;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_joined_and_nothing_else_is() {
        let cases = [
            ("one \ntwo\n\nthree\n", "one two\n\nthree\n"),
            (">> a \n>> b\n> c\nd\n", ">> a b\n> c\nd\n"),
            ("> a \nb\n", "> a \nb\n"),
            (" From here\n  two\n", "From here\n two\n"),
            ("text \n-- \nAnn\n", "text -- \nAnn\n"),
            ("end ", "end "),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(unfold(text, false), expected, "{text:?}");
        }
        assert_eq!(unfold("https://x/long/ \npath\n12 \n34", true), "https://x/long/path\n1234");
    }
}
