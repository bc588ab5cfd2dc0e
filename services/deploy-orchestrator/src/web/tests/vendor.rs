//! What is vendored is what its page says.

use sha2::{Digest, Sha512};

use super::{Site, values::canned};

#[test]
fn vendored_files_are_the_ones_that_were_reviewed() {
    let list = include_str!("../../../static/VENDOR.md");
    let files: [(&str, &[u8]); 3] = [
        ("htmx.min.js", include_bytes!("../../../static/htmx.min.js")),
        (
            "hx-sse.min.js",
            include_bytes!("../../../static/hx-sse.min.js"),
        ),
        (
            "htmx-LICENSE",
            include_bytes!("../../../static/htmx-LICENSE"),
        ),
    ];
    for (name, bytes) in files {
        let line = format!("{:x}  {name}\n", Sha512::digest(bytes));
        assert!(list.contains(&line), "VENDOR.md has no line {line}");
    }
}

#[tokio::test]
async fn every_file_of_a_page_is_served_to_be_kept_for_ever() {
    let site = Site::new(canned()).await;
    let page = site.get("/").await;
    let files: Vec<&str> = page
        .body
        .split('"')
        .filter(|part| part.starts_with("/static/"))
        .collect();
    assert_eq!(files.len(), 5, "{files:?}");
    for file in files {
        let got = site.get(file).await;
        assert_eq!(got.status, 200, "{file}");
        assert_eq!(
            got.headers["cache-control"],
            "public, max-age=31536000, immutable"
        );
        let tag = got.headers["etag"].clone();
        let again = axum::http::Request::get(file).header("if-none-match", tag);
        let again = site
            .send(again.body(axum::body::Body::empty()).unwrap())
            .await;
        assert_eq!(
            (again.status.as_u16(), again.body.as_str()),
            (304, ""),
            "{file}"
        );
    }
    assert_eq!(
        site.get("/static/0000000000000000/style.css").await.status,
        404
    );
}
