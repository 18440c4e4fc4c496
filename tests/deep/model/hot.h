/* The functions of spin's pan.c in which a search spends its time. The rest of
 * pan.c takes longer to optimize than most searches last. */

#define HOT __attribute__((optimize("O2")))

HOT int compress(char *, int);
HOT int h_store(char *, int);
HOT void d_sfh(unsigned char *, int);
