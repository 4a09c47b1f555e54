# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # How LXD or Incus is reached.
    DOCUMENTATION = r"""
options:
  url:
    description:
      - Where the API of LXD or Incus is, as V(unix:///path/of/the/socket), V(https://host:8443) or
        V(ssh://[user@]host[:port][/path/of/the/socket]).
      - By default the socket of the machine that the module runs on is looked for at E(LXD_SOCKET), in E(LXD_DIR), at
        E(INCUS_SOCKET), in E(INCUS_DIR) and at the usual places of the snap and of packages, LXD's first.
      - V(ssh) reaches the socket of another machine through OpenSSH, which has to be installed where the module runs. LXD
        needs no open port then. One C(ssh) in the background serves all modules and plugins that ask for the same way.
        Without a path, the usual ones of LXD and of Incus are tried in turn.
      - Without this option, E(BCM_LXD_URL) counts.
    type: str
  client_cert:
    description:
      - The client certificate that the server trusts, as PEM text or as a file. For V(https) only.
      - Without this option, E(BCM_LXD_CLIENT_CERT) counts.
    type: str
  client_key:
    description:
      - The key of O(client_cert), as PEM text or as a file. It must not have a passphrase.
      - Without this option, E(BCM_LXD_CLIENT_KEY) counts.
    type: str
  server_cert:
    description:
      - The server's own certificate, as PEM text or as a file. The server has to show exactly this one.
      - Without it, the server's certificate is checked against the machine's certificate authorities and its name.
      - Without this option, E(BCM_LXD_SERVER_CERT) counts.
    type: str
  ssh_args:
    description:
      - Arguments for C(ssh), as words for a shell, for example V(-o ProxyCommand="nc -x 127.0.0.1:9050 %h %p"). For V(ssh)
        only.
      - C(ssh) reads the user's own configuration, too. It asks no questions, neither for a password nor whether a host is
        known.
      - Without this option, E(BCM_LXD_SSH_ARGS) counts.
    type: str
  ssh_private_key_file:
    description:
      - File with the key to log in with. For V(ssh) only.
      - By default C(ssh) takes those of the user and of the agent. Without this option,
        E(BCM_LXD_SSH_PRIVATE_KEY_FILE) counts.
    type: path
requirements:
  - LXD 5.0 or later, or Incus 6.0 or later
notes:
  - LXD and Incus are driven alike. Which of them it is the server tells by itself. Wherever LXD is named, Incus is meant too.
  - The two configuration keys that have another name on Incus, C(security.devlxd) and C(security.devlxd.images), may be given
    by either name, C(security.guestapi) and C(security.guestapi.images). What is returned are the server's own.
  - Only Python's standard library is needed where the module runs.
  - Keys of C(config) that are not mentioned stay as they are, those set to V(null) are removed, and those that belong
    to LXD itself (C(volatile.*), C(image.*)) are never compared.
  - Where the desired C(config) carries C(user.bcm.site) and the object exists with another value, or with none, the
    module fails and leaves it alone.
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

    # For what lives within a project.
    PROJECT = r"""
options:
  project:
    description:
      - The LXD project that the object belongs to.
      - Without this option, E(BCM_LXD_PROJECT) counts.
    type: str
    default: default
"""

    # How the connection and the inventory reach LXD, with the sources that Ansible has for plugins.
    PLUGIN = r"""
options:
  client_cert:
    description:
      - The client certificate that the server trusts, as PEM text or as a file. For V(https) only.
    type: str
    vars:
      - name: bcm_lxd_client_cert
    env:
      - name: BCM_LXD_CLIENT_CERT
    ini:
      - section: bcm_lxd_connection
        key: client_cert
  client_key:
    description:
      - The key of O(client_cert), as PEM text or as a file. It must not have a passphrase.
    type: str
    vars:
      - name: bcm_lxd_client_key
    env:
      - name: BCM_LXD_CLIENT_KEY
    ini:
      - section: bcm_lxd_connection
        key: client_key
  server_cert:
    description:
      - The server's own certificate, as PEM text or as a file. The server has to show exactly this one.
      - Without it, the server's certificate is checked against the controller's certificate authorities and its name.
    type: str
    vars:
      - name: bcm_lxd_server_cert
    env:
      - name: BCM_LXD_SERVER_CERT
    ini:
      - section: bcm_lxd_connection
        key: server_cert
  ssh_user:
    description:
      - User to log in as, where the URL names none. For V(ssh) only, as is all that follows.
      - This is a user of the server. Who tasks run as in an instance is not decided by it.
    type: str
    vars:
      - name: ansible_user
      - name: ansible_ssh_user
      - name: bcm_lxd_ssh_user
    env:
      - name: ANSIBLE_REMOTE_USER
    ini:
      - section: defaults
        key: remote_user
    cli:
      - name: user
        option: --user
    keyword:
      - name: remote_user
  ssh_port:
    description: Port of the server's sshd, where the URL names none.
    type: int
    vars:
      - name: ansible_port
      - name: ansible_ssh_port
      - name: bcm_lxd_ssh_port
    env:
      - name: ANSIBLE_REMOTE_PORT
    ini:
      - section: defaults
        key: remote_port
    keyword:
      - name: port
  private_key_file:
    description:
      - File with the key to log in with. By default C(ssh) takes those of the user and of the agent.
      - Passwords are not supported.
    type: path
    vars:
      - name: ansible_private_key_file
      - name: ansible_ssh_private_key_file
      - name: bcm_lxd_ssh_private_key_file
    env:
      - name: ANSIBLE_PRIVATE_KEY_FILE
      - name: BCM_LXD_SSH_PRIVATE_KEY_FILE
    ini:
      - section: defaults
        key: private_key_file
    cli:
      - name: private_key_file
        option: --private-key
  ssh_args:
    description:
      - Arguments for C(ssh). Where they say something of C(ControlMaster) or C(ControlPath), that has no effect.
      - An C(ssh) in the background that nobody uses any more ends after the time that C(ControlPersist) says, and
        otherwise after ten minutes.
    type: str
    vars:
      - name: ansible_ssh_args
      - name: bcm_lxd_ssh_args
    env:
      - name: ANSIBLE_SSH_ARGS
      - name: BCM_LXD_SSH_ARGS
    ini:
      - section: ssh_connection
        key: ssh_args
  ssh_common_args:
    description: More arguments for C(ssh), for example V(-o ProxyCommand="nc -x 127.0.0.1:9050 %h %p").
    type: str
    vars:
      - name: ansible_ssh_common_args
    env:
      - name: ANSIBLE_SSH_COMMON_ARGS
    ini:
      - section: ssh_connection
        key: ssh_common_args
    cli:
      - name: ssh_common_args
  ssh_extra_args:
    description: More arguments for C(ssh).
    type: str
    vars:
      - name: ansible_ssh_extra_args
    env:
      - name: ANSIBLE_SSH_EXTRA_ARGS
    ini:
      - section: ssh_connection
        key: ssh_extra_args
    cli:
      - name: ssh_extra_args
  ssh_executable:
    description: OpenSSH's C(ssh) on the controller.
    type: str
    default: ssh
    vars:
      - name: ansible_ssh_executable
    env:
      - name: ANSIBLE_SSH_EXECUTABLE
    ini:
      - section: ssh_connection
        key: ssh_executable
  host_key_checking:
    description:
      - Whether the server's host key has to be known. If not, a new one is accepted without being looked at.
    type: bool
    default: true
    vars:
      - name: ansible_host_key_checking
      - name: ansible_ssh_host_key_checking
    env:
      - name: ANSIBLE_HOST_KEY_CHECKING
      - name: ANSIBLE_SSH_HOST_KEY_CHECKING
    ini:
      - section: defaults
        key: host_key_checking
      - section: ssh_connection
        key: host_key_checking
  control_path_dir:
    description:
      - Directory for the sockets of C(ssh). Each server has a directory of its own in it that only the user can enter.
      - By default it lies in E(XDG_RUNTIME_DIR) or in the directory for temporary files. So it does if the name given
        is too long for a socket's.
    type: path
    vars:
      - name: ansible_control_path_dir
    env:
      - name: ANSIBLE_SSH_CONTROL_PATH_DIR
    ini:
      - section: ssh_connection
        key: control_path_dir
"""
