"""Networks as TVM modules. Needs the extra `tvm`; nothing imports TVM before it is asked for."""
