"""What libraries write to stderr while they load: known lines are lost, all others are not."""

from __future__ import annotations

import re
import subprocess
import sys

from ser_model.network import onnx_session

CPUINFO = """\
Error in cpuinfo: prctl(PR_SVE_GET_VL) failed
Error in cpuinfo: failed to parse the list of possible processors in /sys/devices/system/cpu/possible
Error in cpuinfo: failed to parse both lists of possible and present processors
onnxruntime cpuid_info warning: Failed to initialize PyTorch cpuinfo library. May cause CPU EP performance degradation \
due to undetected CPU features.
onnxruntime cpuid_info warning: Unknown CPU vendor. cpuinfo_vendor value: 0
onnxruntime warning: cpuinfo_initialize failed. May cause CPU EP performance degradation due to undetected CPU features.
"""
"""What ONNX Runtime 1.32 writes on ARM."""

LOAD = f"""
import os, re, sys
from ser_model.c_stderr import without_lines
try:
    with without_lines(re.compile(rb"{onnx_session._HARMLESS.pattern.decode()}")):
        os.write(2, sys.argv[1].encode())
        os.system("echo a child >&2")
        if "fail" in sys.argv[2]:
            raise OSError("it cannot be loaded")
except OSError as error:
    print(error, flush=True)
os.write(1, b"loaded\\n")
os.write(2, b"later\\n")
"""


def load(written: str, word: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", LOAD, written, word]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_only_what_is_known_to_be_harmless_is_lost() -> None:
    done = load(f"first\n{CPUINFO}onnxruntime warning: the model is damaged\nlast, without an end")
    assert done.stderr == "first\nonnxruntime warning: the model is damaged\nlast, without an enda child\nlater\n"
    assert load(CPUINFO).stderr == "a child\nlater\n"


def test_a_failure_passes_and_loses_nothing() -> None:
    done = load("a reason\n", "fail")
    assert (done.stdout, done.stderr) == ("it cannot be loaded\nloaded\n", "a reason\na child\nlater\n")


def test_without_a_stderr_the_library_loads() -> None:
    code = "from ser_model.network.onnx_session import load_onnxruntime; print(load_onnxruntime().__name__)"
    command = ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "onnxruntime\n"


def test_each_line_of_the_library_is_known() -> None:
    assert [line for line in CPUINFO.splitlines() if not re.match(onnx_session._HARMLESS, line.encode())] == []
