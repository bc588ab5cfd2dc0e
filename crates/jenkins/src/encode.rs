//! Texts as parts of addresses and of form bodies. Pure.

use std::fmt::Write;

use events::JobName;

/// RFC 3986 "unreserved"; everything else is written as `%XX`.
fn encode_into(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// `/job/backend/job/shop`; a `%2F` in a part becomes `%252F`, as Jenkins wants it.
pub(crate) fn job_path(job: &JobName) -> String {
    let mut path = String::new();
    for part in job.parts() {
        path.push_str("/job/");
        encode_into(&mut path, part);
    }
    path
}

/// `application/x-www-form-urlencoded`.
pub(crate) fn form<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut body = String::new();
    for (name, value) in fields {
        if !body.is_empty() {
            body.push('&');
        }
        encode_into(&mut body, name);
        body.push('=');
        encode_into(&mut body, value);
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_repeat_job_and_every_part_is_escaped() {
        let path = |job: &str| job_path(&job.parse().unwrap());
        assert_eq!(path("shop"), "/job/shop");
        assert_eq!(path("a b/c+d"), "/job/a%20b/job/c%2Bd");
        assert_eq!(path("shop/feature%2Fx"), "/job/shop/job/feature%252Fx");
        assert_eq!(path("Größe"), "/job/Gr%C3%B6%C3%9Fe");
    }

    #[test]
    fn a_form_cannot_be_broken_out_of() {
        let fields = [("A", "x&B=y"), ("C", "1 2\r\n3"), ("D", "")];
        assert_eq!(form(fields), "A=x%26B%3Dy&C=1%202%0D%0A3&D=");
    }
}
