# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for the SLB API (2014-05-15) with a real data plane, to develop and rehearse against."""

from __future__ import annotations

__version__ = "0.1.0"
