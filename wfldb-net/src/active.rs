//! Which types of content a browser shows without running any of it.

/// Whether a browser that opens an object of this type could run something in it, as the server's own page. What is not
/// known to be passive is active: HTML, SVG, PDF, XML, and whatever comes later.
///
/// ```
/// use wfldb_net::active::is_active;
///
/// assert!(is_active("text/html; charset=utf-8") && is_active("image/svg+xml"));
/// assert!(!is_active("image/png") && !is_active("text/plain"));
/// ```
pub fn is_active(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    let kind = kind.to_ascii_lowercase();
    let passive = match kind.split_once('/') {
        Some(("audio" | "video", _)) => true,
        Some(("image", kind)) => matches!(kind, "png" | "jpeg" | "gif" | "webp" | "avif" | "bmp"),
        Some(("text", kind)) => kind == "plain",
        Some(("application", kind)) => kind == "octet-stream",
        _ => false,
    };
    // A list of types is none: which of them a browser takes is not known.
    !passive || content_type.contains(',')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Defects it catches: a list of what is active that misses a type; a comparison that minds the case; a second type
    /// behind the first.
    #[test]
    fn only_what_is_known_to_be_passive_is_shown() {
        for active in [
            "text/html",
            "TEXT/HTML",
            "text/html;charset=utf-8",
            "image/svg+xml",
            "application/xhtml+xml",
            "application/xml",
            "text/xml",
            "text/xsl",
            "application/pdf",
            "application/javascript",
            "text/javascript",
            "text/css",
            "multipart/x-mixed-replace; boundary=x",
            "message/rfc822",
            "image/png, text/html",
            "image/png,text/html",
            "",
            "text",
            "*/*",
        ] {
            assert!(is_active(active), "{active}");
        }
        for passive in [
            "image/png",
            "Image/PNG",
            "text/plain; charset=utf-8",
            "video/mp4",
            "application/octet-stream",
        ] {
            assert!(!is_active(passive), "{passive}");
        }
    }
}
