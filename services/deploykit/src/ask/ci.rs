//! `deploykit ci`

use deploy_orchestrator::api::CiView;

use super::{Session, show};
use crate::{cli::Ci, failure::Failure, words};

impl Session<'_> {
    /// `deploykit ci`
    ///
    /// # Errors
    /// When the repository or the revision is unknown.
    pub async fn ci(&self, args: &Ci) -> Result<(), Failure> {
        let revision = args.revision.as_deref().unwrap_or_default();
        let path = format!(
            "/api/v1/ci/{}?limit={}&revision={}",
            args.repository,
            args.limit,
            escaped(revision)
        );
        let views: Vec<CiView> = self.client.get(&path).await?;
        let whole = args.revision.is_some();
        show(args.json, &views, |views| words::ci::commits(views, whole));
        Ok(())
    }
}

/// A tag may hold letters that mean something in an address.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let mut escaped = String::new();
    for byte in text.bytes() {
        if plain(byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_in_an_address_is_escaped() {
        assert_eq!(escaped("v1.2_3-a/b~"), "v1.2_3-a/b~");
        assert_eq!(escaped("a#b+c&d=é"), "a%23b%2Bc%26d%3D%C3%A9");
    }
}
