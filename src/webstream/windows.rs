//! What only Windows' own functions do: DPAPI, and who may read a file.

// They take pointers; no crate that wraps them is as small as this file.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::windows::ffi::OsStrExt;
use std::os::windows::io::FromRawHandle;
use std::path::Path;
use std::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::{
    ERROR_SUCCESS, GENERIC_WRITE, INVALID_HANDLE_VALUE, LocalFree, WIN32_ERROR,
};
use windows_sys::Win32::Security::Authorization::{
    EXPLICIT_ACCESS_W, GetNamedSecurityInfoW, SE_FILE_OBJECT, SET_ACCESS, SetEntriesInAclW,
    SetNamedSecurityInfoW, TRUSTEE_IS_NAME, TRUSTEE_IS_USER, TRUSTEE_W,
};
use windows_sys::Win32::Security::Cryptography::{
    CRYPT_INTEGER_BLOB, CRYPTPROTECT_LOCAL_MACHINE, CRYPTPROTECT_UI_FORBIDDEN, CryptProtectData,
    CryptUnprotectData,
};
use windows_sys::Win32::Security::{
    DACL_SECURITY_INFORMATION, GetSecurityDescriptorControl, InitializeSecurityDescriptor,
    PROTECTED_DACL_SECURITY_INFORMATION, SE_DACL_PROTECTED, SECURITY_ATTRIBUTES,
    SECURITY_DESCRIPTOR, SetSecurityDescriptorControl, SetSecurityDescriptorDacl,
    UNPROTECTED_DACL_SECURITY_INFORMATION,
};
use windows_sys::Win32::Storage::FileSystem::{
    CREATE_NEW, CreateFileW, FILE_ALL_ACCESS, FILE_ATTRIBUTE_NORMAL, FILE_SHARE_DELETE,
    FILE_SHARE_READ, FILE_SHARE_WRITE,
};

/// The only one that there is (winnt.h).
const SECURITY_DESCRIPTOR_REVISION: u32 = 1;

/// Encrypts for every account of this host.
pub(super) fn protect(plain: &[u8]) -> io::Result<Vec<u8>> {
    let flags = CRYPTPROTECT_LOCAL_MACHINE | CRYPTPROTECT_UI_FORBIDDEN;
    // SAFETY: Both blobs live as long as the call; what is null may be.
    transformed(plain, |from, to| unsafe {
        CryptProtectData(from, null(), null(), null(), null(), flags, to)
    })
}

/// Decrypts what was encrypted for this host, or for this user: the blob itself says for whom.
pub(super) fn unprotect(encrypted: &[u8]) -> io::Result<Vec<u8>> {
    let flags = CRYPTPROTECT_UI_FORBIDDEN;
    // SAFETY: As above.
    transformed(encrypted, |from, to| unsafe {
        CryptUnprotectData(from, null_mut(), null(), null(), null(), flags, to)
    })
}

fn transformed(
    bytes: &[u8],
    call: impl FnOnce(*const CRYPT_INTEGER_BLOB, *mut CRYPT_INTEGER_BLOB) -> i32,
) -> io::Result<Vec<u8>> {
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    // Nobody writes there: the type knows no other pointer.
    let from = CRYPT_INTEGER_BLOB { cbData: length, pbData: bytes.as_ptr().cast_mut() };
    let mut to = CRYPT_INTEGER_BLOB { cbData: 0, pbData: null_mut() };
    if call(&raw const from, &raw mut to) == 0 {
        return Err(io::Error::last_os_error());
    }
    let memory = Local(to.pbData.cast());
    if memory.0.is_null() {
        return Ok(Vec::new());
    }
    // SAFETY: The call succeeded, so that many bytes lie there until they are freed.
    Ok(unsafe { std::slice::from_raw_parts(to.pbData, to.cbData as usize) }.to_vec())
}

/// A new file that nobody but this user may read, from its first moment on.
pub(super) fn new_private(path: &Path) -> io::Result<File> {
    let mut user: Vec<u16> = "CURRENT_USER\0".encode_utf16().collect();
    let access = EXPLICIT_ACCESS_W {
        grfAccessPermissions: FILE_ALL_ACCESS,
        grfAccessMode: SET_ACCESS,
        grfInheritance: 0,
        Trustee: TRUSTEE_W {
            TrusteeForm: TRUSTEE_IS_NAME,
            TrusteeType: TRUSTEE_IS_USER,
            ptstrName: user.as_mut_ptr(),
            ..TRUSTEE_W::default()
        },
    };
    let mut list = null_mut();
    // SAFETY: One entry is told and one is there, whose name lives as long as the call.
    fine(unsafe { SetEntriesInAclW(1, &raw const access, null(), &raw mut list) })?;
    let _memory = Local(list.cast());
    let mut descriptor = SECURITY_DESCRIPTOR::default();
    let at = (&raw mut descriptor).cast();
    // SAFETY: The descriptor has room for what is written there, and leaves the list where it is.
    let made = unsafe {
        InitializeSecurityDescriptor(at, SECURITY_DESCRIPTOR_REVISION) != 0
            && SetSecurityDescriptorDacl(at, 1, list, 0) != 0
            // The folder's access control doesn't come on top of it.
            && SetSecurityDescriptorControl(at, SE_DACL_PROTECTED, SE_DACL_PROTECTED) != 0
    };
    if !made {
        return Err(io::Error::last_os_error());
    }
    let length = size_of::<SECURITY_ATTRIBUTES>() as u32;
    let attributes =
        SECURITY_ATTRIBUTES { nLength: length, lpSecurityDescriptor: at, bInheritHandle: 0 };
    let shared = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    let (name, attributes) = (wide(path), &raw const attributes);
    // SAFETY: The name ends in a null, and list and descriptor live as long as the call.
    let handle = unsafe {
        let (how, like) = (FILE_ATTRIBUTE_NORMAL, null_mut());
        CreateFileW(name.as_ptr(), GENERIC_WRITE, shared, attributes, CREATE_NEW, how, like)
    };
    match handle {
        INVALID_HANDLE_VALUE => Err(io::Error::last_os_error()),
        // SAFETY: It was opened just now, and nobody else closes it.
        handle => Ok(unsafe { File::from_raw_handle(handle) }),
    }
}

/// Lets those read a file that may read another, and inherit as that one does.
pub(super) fn give_access_of(old: &Path, new: &Path) -> io::Result<()> {
    let (old, new) = (wide(old), wide(new));
    let (mut list, mut descriptor) = (null_mut(), null_mut());
    // SAFETY: The name ends in a null, and what isn't asked for may be null.
    fine(unsafe {
        GetNamedSecurityInfoW(
            old.as_ptr(),
            SE_FILE_OBJECT,
            DACL_SECURITY_INFORMATION,
            null_mut(),
            null_mut(),
            &raw mut list,
            null_mut(),
            &raw mut descriptor,
        )
    })?;
    let memory = Local(descriptor);
    let (mut control, mut revision) = (0, 0);
    // SAFETY: The descriptor was made by the call above.
    if unsafe { GetSecurityDescriptorControl(memory.0, &raw mut control, &raw mut revision) } == 0 {
        return Err(io::Error::last_os_error());
    }
    let inheriting = match control & SE_DACL_PROTECTED {
        0 => UNPROTECTED_DACL_SECURITY_INFORMATION,
        _ => PROTECTED_DACL_SECURITY_INFORMATION,
    };
    let what = DACL_SECURITY_INFORMATION | inheriting;
    // SAFETY: The list is a part of the descriptor, which is freed behind this.
    fine(unsafe {
        SetNamedSecurityInfoW(
            new.as_ptr(),
            SE_FILE_OBJECT,
            what,
            null_mut(),
            null_mut(),
            list,
            null(),
        )
    })
}

/// What the system leaves to its caller to be freed.
struct Local(*mut core::ffi::c_void);

impl Drop for Local {
    fn drop(&mut self) {
        // SAFETY: It is freed once, and null may be.
        unsafe { LocalFree(self.0) };
    }
}

fn wide(path: &Path) -> Vec<u16> {
    path.as_os_str().encode_wide().chain([0]).collect()
}

fn fine(code: WIN32_ERROR) -> io::Result<()> {
    match code {
        ERROR_SUCCESS => Ok(()),
        code => Err(io::Error::from_raw_os_error(code.cast_signed())),
    }
}

#[cfg(test)]
mod tests {
    use windows_sys::Win32::Security::Authorization::{
        ConvertSecurityDescriptorToStringSecurityDescriptorW, SDDL_REVISION_1,
    };

    use super::*;

    /// The access control of a file, as SDDL writes it.
    fn access_of(path: &Path) -> String {
        let (name, mut descriptor, mut text, mut length) = (wide(path), null_mut(), null_mut(), 0);
        let what = DACL_SECURITY_INFORMATION;
        let none = null_mut;
        unsafe {
            let at = &raw mut descriptor;
            let got = GetNamedSecurityInfoW(
                name.as_ptr(),
                SE_FILE_OBJECT,
                what,
                none(),
                none(),
                null_mut(),
                null_mut(),
                at,
            );
            fine(got).unwrap();
            assert_ne!(
                0,
                ConvertSecurityDescriptorToStringSecurityDescriptorW(
                    descriptor,
                    SDDL_REVISION_1,
                    what,
                    &raw mut text,
                    &raw mut length,
                )
            );
            let text = String::from_utf16_lossy(std::slice::from_raw_parts(text, length as usize));
            text.trim_end_matches('\0').to_owned()
        }
    }

    #[test]
    fn a_private_file_is_one_user_s() {
        let folder = tempfile::tempdir().unwrap();
        let (private, open) = (folder.path().join("private"), folder.path().join("open"));
        let mut file = new_private(&private).unwrap();
        std::io::Write::write_all(&mut file, b"hush").unwrap();
        assert_eq!(std::fs::read(&private).unwrap(), b"hush");
        assert!(new_private(&private).is_err(), "it is there already");
        // The system itself may be told as well: it reads everything.
        let access = access_of(&private).replace("(A;;FA;;;SY)", "");
        assert_eq!(access.matches('(').count(), 1, "{access}");
        std::fs::write(&open, "").unwrap();
        assert_ne!(access_of(&private), access_of(&open));
        give_access_of(&open, &private).unwrap();
        assert_eq!(access_of(&private), access_of(&open));
    }

    #[test]
    fn what_is_encrypted_for_one_user_is_decrypted_by_that_user() {
        let encrypted = transformed(b"hush", |from, to| unsafe {
            CryptProtectData(from, null(), null(), null(), null(), CRYPTPROTECT_UI_FORBIDDEN, to)
        });
        assert_eq!(unprotect(&encrypted.unwrap()).unwrap(), b"hush");
    }
}
