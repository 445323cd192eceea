//! Names of groups, values and policies, and the paths made of them.

/// True for `[a-zA-Z0-9.-]+`, except `.` and `..`, of at most 249 characters.
pub(crate) fn is_legal_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && !matches!(name, "." | "..") && name.bytes().all(is_allowed)
}

/// The first part of a policy path, absolute or relative, that is no legal name.
pub(crate) fn illegal_part(policy_path: &str) -> Option<&str> {
    policy_path.strip_prefix('/').unwrap_or(policy_path).split('/').find(|part| !is_legal_name(part))
}

const NAME_BYTES_MAX: usize = 249;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths_follow_the_rule() {
        let longest = "k".repeat(NAME_BYTES_MAX);
        for name in ["Admins", "Org1", "x.y-z", "...", "-", longest.as_str()] {
            assert!(is_legal_name(name), "{name}");
        }
        let too_long = "k".repeat(NAME_BYTES_MAX + 1);
        for name in ["", ".", "..", "a_b", "a b", "é", "a/b", too_long.as_str()] {
            assert!(!is_legal_name(name), "{name}");
        }
        for path in ["Admins", "/Channel/Admins", "Org1/Admins"] {
            assert_eq!(illegal_part(path), None);
        }
        for (path, part) in [("/", ""), ("//Channel", ""), ("a//b", ""), ("a/", ""), ("a/b c", "b c")] {
            assert_eq!(illegal_part(path), Some(part), "{path}");
        }
    }
}
