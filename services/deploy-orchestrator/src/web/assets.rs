//! The files of the pages, inside the executable. Each address holds the file's hash, so a browser may keep it for ever.

use std::sync::LazyLock;

use axum::{
    extract::Path,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};

/// One file.
struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
    hash: String,
}

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

static ASSETS: LazyLock<[Asset; 5]> = LazyLock::new(|| {
    macro_rules! asset {
        ($name:literal, $kind:expr) => {{
            let bytes = include_bytes!(concat!("../../static/", $name)).as_slice();
            let mut hash = format!("{:x}", Sha256::digest(bytes));
            hash.truncate(16);
            Asset {
                name: $name,
                kind: $kind,
                bytes,
                hash,
            }
        }};
    }
    [
        asset!("style.css", "text/css; charset=utf-8"),
        asset!("page.js", JAVASCRIPT),
        asset!("htmx.min.js", JAVASCRIPT),
        asset!("hx-sse.min.js", JAVASCRIPT),
        asset!("icon.svg", "image/svg+xml"),
    ]
});

/// The address of a file.
pub(crate) fn url(name: &str) -> String {
    let asset = ASSETS.iter().find(|asset| asset.name == name);
    let asset =
        asset.expect("the templates name only files of the list above, which a test renders");
    format!("/static/{}/{name}", asset.hash)
}

/// `GET /static/{hash}/{name}`
pub(crate) async fn serve(
    Path((hash, name)): Path<(String, String)>,
    request: HeaderMap,
) -> Response {
    let Some(asset) = ASSETS
        .iter()
        .find(|asset| asset.name == name && asset.hash == hash)
    else {
        return (StatusCode::NOT_FOUND, "no such file in this version\n").into_response();
    };
    let tag = format!("\"{}\"", asset.hash);
    let known = request
        .get(header::IF_NONE_MATCH)
        .is_some_and(|given| given.as_bytes() == tag.as_bytes());
    let headers = [
        (
            header::CACHE_CONTROL,
            "public, max-age=31536000, immutable".to_owned(),
        ),
        (header::ETAG, tag),
    ];
    if known {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, [(header::CONTENT_TYPE, asset.kind)], asset.bytes).into_response()
}
