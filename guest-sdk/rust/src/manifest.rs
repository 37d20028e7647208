//! Carries the manifest inside the component.

/// Embeds a manifest in the component, as the custom section `countersign:manifest`.
///
/// [`agent!`](crate::agent!) does this already; only agents written over [`bindings`](crate::bindings) need it alone.
/// The path is relative to the calling file. The file is JSON in which `//` begins a comment that ends with its line;
/// comments are blanked while compiling, so positions in error messages are those of the file.
#[macro_export]
macro_rules! manifest {
    ($path:literal) => {
        const _: () = {
            // A section of another object format must have another kind of name, so other targets only check the path.
            #[used]
            #[cfg_attr(target_arch = "wasm32", unsafe(link_section = "countersign:manifest"))]
            static MANIFEST: [u8; include_bytes!($path).len()] =
                $crate::manifest::without_comments(*include_bytes!($path));
        };
    };
}

/// Overwrites `//` comments with spaces, leaving strings as they are: they may well hold `https://`.
pub const fn without_comments<const N: usize>(mut text: [u8; N]) -> [u8; N] {
    let mut at = 0;
    let mut in_string = false;
    while at < N {
        match text[at] {
            b'"' => in_string = !in_string,
            // Whatever is escaped ends no string.
            b'\\' if in_string => at += 1,
            b'/' if !in_string && at + 1 < N && text[at + 1] == b'/' => {
                while at < N && text[at] != b'\n' {
                    text[at] = b' ';
                    at += 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::without_comments;

    #[test]
    fn comments_become_spaces() {
        assert_eq!(&without_comments(*b"{ // a \"b\n} // c"), b"{        \n}     ");
    }

    #[test]
    fn strings_keep_their_slashes() {
        let text = *br#"{"a": "https://b", "c\"//": "\\", "d": 1 / 2}"#;
        assert_eq!(without_comments(text), text);
        assert_eq!(&without_comments(*br#"["\\"//"#), br#"["\\"  "#);
    }

    #[test]
    fn the_end_may_come_anywhere() {
        assert_eq!(&without_comments(*b"/"), b"/");
        assert_eq!(&without_comments(*b"//"), b"  ");
        assert_eq!(&without_comments(*b"\"\\"), b"\"\\");
    }
}
