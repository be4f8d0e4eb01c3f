"""Binary circuits by Yosys: standard cells and FPGA look-up tables, to set beside those that tercet maps itself."""
