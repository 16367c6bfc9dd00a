/* Is linked with Serve. */
extern void Serve(void);

int main(void)
{
    Serve();
    return 0;
}
